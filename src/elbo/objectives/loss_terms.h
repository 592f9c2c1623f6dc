// What an objective is made of: the scalar that is minimised, and its named parts, in nats.
#pragma once
#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

namespace elbo {

struct LossTerms {
  torch::Tensor
      loss;  // (b) per sample, or a scalar where samples are coupled: then the sum over the microbatch
  std::vector<std::pair<std::string, torch::Tensor>> parts;  // likewise; reported, never differentiated
  // (s) float32: sums over the microbatch that Model::absorb() gets, summed over the whole batch. As many
  // numbers in every call of a phase.
  torch::Tensor statistics{};

  void add_metric(std::string name, const torch::Tensor& value) {
    parts.emplace_back(std::move(name), value.detach());
  }
};

}  // namespace elbo
