// The Bernoulli log likelihood of logits, with its derivative in the same pass.
#pragma once
#include <torch/types.h>

namespace elbo {

// Σ x·l - log(1 + eˡ) over the last dimension, in nats: logits l (k, b, features), x (b, features) → (k, b).
// Differentiable in the logits only.
//
// A fused kernel: autograd would save and read four more tensors of the row's size, and a general log1p costs
// more than one for arguments in [0, 1]. After the matrix multiplications this is the most expensive
// operation of an MLP. GPUs without the portable kernels (nn/kernels.h), and types other than float32, use
// LibTorch's functions.
torch::Tensor bernoulli_log_prob(const torch::Tensor& logits, const torch::Tensor& x);

}  // namespace elbo
