// The value of an objective: the loss to minimise, and its named metrics, in nats.
#pragma once
#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

namespace elbo {

struct LossTerms {
  // (b) per sample; or, where samples are coupled, a scalar: the sum over the microbatch.
  torch::Tensor loss;
  std::vector<std::pair<std::string, torch::Tensor>> parts;  // metrics by name, shaped as loss; detached
  // (b): -ELBO in an evaluation whose loss is a tighter bound, the importance-weighted -L_K; otherwise
  // undefined.
  torch::Tensor negative_elbo{};
  // (s) float32: sums over the microbatch. Model::update_statistics() receives their sum over the step. s is
  // the same in every call of a phase.
  torch::Tensor statistics{};

  void add_metric(std::string name, const torch::Tensor& value) {
    parts.emplace_back(std::move(name), value.detach());
  }
};

}  // namespace elbo
