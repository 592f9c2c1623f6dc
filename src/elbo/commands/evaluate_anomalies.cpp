// How well scores of rows find the rows of one class.
#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/commands/evaluate_measures.h"
#include "elbo/eval/anomaly_scores.h"
#include "elbo/eval/detection.h"

namespace elbo {
namespace {

// By its name or number.
int64_t class_of(const std::string& text, const std::string& class_names) {
  const std::vector<std::string> names = texts_in_lines(class_names);
  if (const auto named = std::ranges::find(names, text); named != names.end()) return named - names.begin();
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    usage_error("--anomaly={}: is not a class; expected auto, a number{}", text,
                names.empty() ? "" : ", or one of " + join(names, ", "));
  return number;
}

// The class whose rows are the anomalies among rows of these classes; none where auto finds none.
std::optional<int64_t> anomalous_class(const std::string& option, const torch::Tensor& classes,
                                       const std::string& class_names) {
  const torch::Tensor different = std::get<0>(at::_unique(classes));
  if (option == "auto") {
    if (different.size(0) != 2) return {};
    // The class is -1 where the training rows lack the text of the label.
    const auto lowest = different.min().item<int64_t>();
    return lowest < 0 ? lowest : different.max().item<int64_t>();
  }
  const int64_t wanted = class_of(option, class_names);
  const auto* first = different.const_data_ptr<int64_t>();
  if (different.size(0) < 2 || !different.eq(wanted).any().item<bool>())
    usage_error(
        "--anomaly={}: the labels of the rows are {}; expected one of them, and rows with another label",
        option, fmt::join(std::vector(first, first + different.size(0)), ", "));
  return wanted;
}

class Anomalies final : public Measure {
 public:
  Anomalies(const MeasureOptions& options, const MeasuredRun& measured)
      : options_(options), measured_(measured) {}

  std::string refusal() override {
    const SavedRun& run = measured_.used.run;
    if (run.model->conditional()) return "the model is conditioned on the labels";
    classes_ = classes_of(measured_.used.rows(), all_ids(measured_.used.rows().rows()));
    if (!classes_.defined()) return "the rows have no classes";
    anomaly_ = anomalous_class(options_.anomaly, classes_, run.dataset->shape().class_names);
    return anomaly_ ? "" : "the rows are not of two classes; name the one of the anomalies, --anomaly=CLASS";
  }

  nlohmann::ordered_json result() override {
    const RunInUse& used = measured_.used;
    const Batch one = used.run.rows(used.split, 0, 1);
    const bool bound = has_bound(*used.run.model, one);
    const NamedScores names = anomaly_scores(*used.run.model, one, 0, measured_.how, bound);
    const torch::Tensor scores =
        measured_.collect(used.rows().rows(), std::ssize(names),
                          [&](int worker, int64_t microbatch, int64_t first, int64_t end) {
                            std::vector<torch::Tensor> columns;
                            for (auto& [name, values] : anomaly_scores(measured_.model(worker),
                                                                       used.run.rows(used.split, first, end),
                                                                       microbatch, measured_.how, bound))
                              columns.push_back(std::move(values));
                            return torch::stack(columns, 1);
                          });
    if (!used.is_root()) return {};
    const torch::Tensor anomalous = classes_.eq(anomaly_.value_or(0));
    nlohmann::ordered_json result{{"class", anomaly_.value_or(0)}, {"rows", anomalous.sum().item<int64_t>()}};
    for (size_t i = 0; i < names.size(); ++i) {
      const torch::Tensor score = scores.select(1, static_cast<int64_t>(i));
      result["auroc"][names[i].first] = area_under_roc(score, anomalous);
      result["auprc"][names[i].first] = average_precision(score, anomalous);
    }
    return result;
  }

 private:
  MeasureOptions options_;
  MeasuredRun measured_;
  torch::Tensor classes_;  // of all rows
  std::optional<int64_t> anomaly_;
};

}  // namespace

std::unique_ptr<Measure> measure_of_anomalies(const MeasureOptions& options, const MeasuredRun& measured) {
  return std::make_unique<Anomalies>(options, measured);
}

}  // namespace elbo
