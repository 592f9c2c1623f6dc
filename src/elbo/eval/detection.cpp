#include "elbo/eval/detection.h"

#include <torch/types.h>

#include <cmath>
#include <functional>
#include <map>

namespace elbo {
namespace {

struct RowsOfScore {
  double anomalies = 0, others = 0;
};

// From the highest score down.
std::map<double, RowsOfScore, std::greater<>> by_score(const torch::Tensor& score,
                                                       const torch::Tensor& anomalous) {
  const torch::Tensor scores = score.to(torch::kFloat64).contiguous();
  const torch::Tensor is_anomaly = anomalous.to(torch::kBool).contiguous();
  std::map<double, RowsOfScore, std::greater<>> rows;
  for (int64_t row = 0; row < scores.size(0); ++row) {
    RowsOfScore& same = rows[scores.const_data_ptr<double>()[row]];
    ++(is_anomaly.const_data_ptr<bool>()[row] ? same.anomalies : same.others);
  }
  return rows;
}

}  // namespace

double area_under_roc(const torch::Tensor& score, const torch::Tensor& anomalous) {
  double pairs = 0, anomalies = 0, others = 0;
  for (const auto& [value, rows] : by_score(score, anomalous)) {
    pairs += rows.others * (anomalies + rows.anomalies / 2);
    anomalies += rows.anomalies;
    others += rows.others;
  }
  return pairs / (anomalies * others);
}

double average_precision(const torch::Tensor& score, const torch::Tensor& anomalous) {
  double area = 0, anomalies = 0, found = 0;
  for (const auto& [value, rows] : by_score(score, anomalous)) {
    anomalies += rows.anomalies;
    found += rows.anomalies + rows.others;
    area += rows.anomalies * anomalies / found;
  }
  return area / anomalies;
}

double threshold_of_false_alarms(const torch::Tensor& score, double rate) {
  const int64_t rows = score.size(0);
  const auto alarms = static_cast<int64_t>(std::floor(rate * static_cast<double>(rows)));
  const torch::Tensor from_the_highest = std::get<0>(score.to(torch::kFloat64).sort(0, /*descending=*/true));
  return from_the_highest[std::min(alarms, rows - 1)].item<double>();
}

}  // namespace elbo
