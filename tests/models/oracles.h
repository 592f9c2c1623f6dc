// Independent computations with which several models are compared.
#pragma once
#include <torch/types.h>

#include <string>
#include <utility>

#include "elbo/models/registry.h"

namespace elbo {

// log N(residual | 0, covariance), (b, n) and (n, n) → (b) float64.
torch::Tensor normal_log_density(const torch::Tensor& residual, const torch::Tensor& covariance);

// Expects the gradient of objective(), at the first element of every parameter, to equal central differences.
// Converts `model` to float64, as differences of float32 losses would be lost in rounding.
void expect_gradient_of_differences(Model& model, const Batch& batch);

// Expects the mean of p(x, z) / q(z|x) over q to equal the mean of p(x|z) over the prior, as both are p(x).
// For a model with the likelihood N(mean, I), with k samples of both.
void expect_one_likelihood(Model& model, const Batch& batch, int64_t k, double tolerance);

// Sequences with lengths from zero to all steps, and the same sequences with other padding.
std::pair<Batch, Batch> rows_that_differ_beyond_their_length(const std::string& data);

}  // namespace elbo
