// The log density of Bernoulli variables given as logits, with its derivative in the same pass.
#pragma once
#include <torch/types.h>

namespace elbo {

// Σ x·l - log(1 + eˡ) over the last dimension, in nats: logits (k, b, features), x (b, features) → (k, b).
// Differentiable in the logits.
//
// By hand because autograd's own way keeps and passes over four more tensors of the row's size, and because
// a general log1p costs more than one of numbers in [0, 1]: besides the matrix multiplications this is the
// largest piece of work of an MLP. On other devices than the CPU and for other types than float32, LibTorch's
// functions do it.
torch::Tensor bernoulli_log_prob(const torch::Tensor& logits, const torch::Tensor& x);

}  // namespace elbo
