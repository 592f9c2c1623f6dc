// Scores of rows for the detection of anomalies: higher is more anomalous.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "elbo/data/batch.h"
#include "elbo/eval/evaluate.h"
#include "elbo/models/model.h"

namespace elbo {

// Names, and values (b) float32 for the rows of a microbatch, the same names for every batch of a data set:
//   negative_elbo   -ELBO, the mean over K samples of z, or of one (An & Cho 2015); loss: of models without a
//   bound nll             -log p(x) estimated from K importance samples, if there are any squared_error   ‖x
//   - x̂‖² / elements, where x̂ is the reconstruction from the code relative_error  ‖x - x̂‖² / ‖x‖²: of images
//   the error in relation to their ink deviance        of p(x|z) at the code, if it is a function of the mean
//   (nn/likelihood.h)
// The errors are those of elements that count, and only there if the model has a likelihood.
using NamedScores = std::vector<std::pair<std::string, torch::Tensor>>;
NamedScores anomaly_scores(Model& model, const Batch& batch, int64_t microbatch,
                           const EvaluationOptions& options, bool has_bound);

// Whether the model has a bound on log p(x).
bool has_bound(Model& model, const Batch& batch);

// x - x̂, (b, …row): 0 for elements that do not count. The model has a likelihood.
torch::Tensor residuals(Model& model, const Batch& batch);

}  // namespace elbo
