#include "elbo/eval/evaluation_metrics.h"

#include <optional>

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
  add("mse", evaluation.mse);
  add("psnr", evaluation.psnr);
  add("ndcg_100", evaluation.ndcg_100);
  add("recall_20", evaluation.recall_20);
  add("recall_50", evaluation.recall_50);
  if (evaluation.active_units)
    metrics.emplace_back("active_units", static_cast<double>(*evaluation.active_units));
  return metrics;
}

}  // namespace elbo
