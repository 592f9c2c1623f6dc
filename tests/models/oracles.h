// What several models are held against, computed without them.
#pragma once
#include <torch/types.h>

#include <string>
#include <utility>

#include "elbo/models/registry.h"

namespace elbo {

// log N(residual | 0, covariance), (b, n) and (n, n) → (b) float64.
torch::Tensor normal_log_density(const torch::Tensor& residual, const torch::Tensor& covariance);

// The gradient of objective(), at the first element of every parameter, is that of central differences. Makes
// `model` one of float64, as differences of float32 losses would be lost in rounding.
void expect_gradient_of_differences(Model& model, const Batch& batch);

// E[p(x, z) / q(z|x)] over q is p(x), which the mean of p(x|z) over draws from the prior is, too: no weight
// is left out. Of a model whose likelihood is N(mean, I), with k draws of both.
void expect_one_likelihood(Model& model, const Batch& batch, int64_t k, double tolerance);

// Rows of a kind that has steps, with lengths from none to all of them, and the same rows with other numbers
// beyond the lengths.
std::pair<Batch, Batch> rows_that_differ_beyond_their_length(const std::string& data);

}  // namespace elbo
