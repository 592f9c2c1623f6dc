// The numbers of an evaluation by their names, as metrics.jsonl, TensorBoard and evaluate.best have them.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "elbo/eval/evaluate.h"

namespace elbo {

// loss, the terms, then what else was measured; units as in Evaluation.
std::vector<std::pair<std::string, double>> metrics_of(const Evaluation& evaluation);

// The names that evaluate.best can have.
std::vector<std::string> metrics_that_compare();

bool is_higher_better(const std::string& metric);

// The metric, with its sign changed where more is better. Throws a usage Error where the evaluation lacks it.
double lower_is_better(const Evaluation& evaluation, const std::string& metric);

}  // namespace elbo
