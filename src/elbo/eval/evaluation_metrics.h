// The numbers of an evaluation by their names, as metrics.jsonl, TensorBoard and evaluate.best have them.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "elbo/eval/evaluate.h"

namespace elbo {

// loss, the terms, then what else was measured; units as in Evaluation.
std::vector<std::pair<std::string, double>> metrics_of(const Evaluation& evaluation);

}  // namespace elbo
