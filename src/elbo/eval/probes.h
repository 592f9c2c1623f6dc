// How much of the classes is in codes: classifiers of codes, which the variant never saw.
#pragma once
#include <torch/types.h>

#include <cstdint>

namespace elbo {

// codes (n, latent), classes (n) int64 in 0 … count-1, on the CPU. The results are classes (m) of the rows of
// `asked` (m, latent). A function of its arguments alone: equal bits on every rank.

// Multinomial logistic regression on codes that are standardised as `codes` are: the minimum of Σ -log
// p(class) + ½ ‖W‖², biases without penalty (Alain & Bengio 2017; the penalty is scikit-learn's with C = 1).
torch::Tensor linear_probe(const torch::Tensor& codes, const torch::Tensor& classes, int64_t count,
                           const torch::Tensor& asked);

// The most frequent class among the k nearest of `codes`, by Euclidean distance; of equally frequent ones the
// lowest (Cover & Hart 1967).
torch::Tensor nearest_neighbours(const torch::Tensor& codes, const torch::Tensor& classes, int64_t count,
                                 const torch::Tensor& asked, int64_t k);

}  // namespace elbo
