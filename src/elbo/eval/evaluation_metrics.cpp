#include "elbo/eval/evaluation_metrics.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

std::vector<std::pair<std::string, double>> metrics_of(const Evaluation& evaluation) {
  std::vector<std::pair<std::string, double>> metrics{{"loss", evaluation.loss}};
  metrics.insert(metrics.end(), evaluation.terms.begin(), evaluation.terms.end());
  const auto add = [&](const char* name, const std::optional<double>& value) {
    if (value) metrics.emplace_back(name, *value);
  };
  add("elbo", evaluation.elbo);
  add("nll", evaluation.nll);
  add("bits_per_dim", evaluation.bits_per_dim);
  add("nats_per_step", evaluation.nats_per_step);
  add("perplexity_per_token", evaluation.perplexity_per_token);
  add("mse", evaluation.mse);
  add("psnr", evaluation.psnr);
  add("ndcg_100", evaluation.ndcg_100);
  add("recall_20", evaluation.recall_20);
  add("recall_50", evaluation.recall_50);
  if (evaluation.active_units)
    metrics.emplace_back("active_units", static_cast<double>(*evaluation.active_units));
  return metrics;
}

std::vector<std::string> metrics_that_compare() {
  return {"loss", "reconstruction", "nll",       "bits_per_dim", "mse",
          "psnr", "ndcg_100",       "recall_20", "recall_50"};
}

bool is_higher_better(const std::string& metric) {
  static constexpr std::array<std::string_view, 4> higher{"psnr", "ndcg_100", "recall_20", "recall_50"};
  return std::ranges::find(higher, metric) != higher.end();
}

double lower_is_better(const Evaluation& evaluation, const std::string& metric) {
  const std::vector<std::pair<std::string, double>> metrics = metrics_of(evaluation);
  const auto found = std::ranges::find(metrics, metric, &std::pair<std::string, double>::first);
  if (found == metrics.end()) {
    std::vector<std::string> names;
    names.reserve(metrics.size());
    for (const auto& [name, value] : metrics) names.push_back(name);
    usage_error("evaluate.best={}: the evaluation of this model on these data has {}; use one of them",
                metric, join(names, ", "));
  }
  return is_higher_better(metric) ? -found->second : found->second;
}

}  // namespace elbo
