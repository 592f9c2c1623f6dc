#include "elbo/nn/discriminator.h"

#include <torch/types.h>

namespace elbo {
namespace {

constexpr double slope_below_zero = 0.2;

torch::Tensor leaky(const torch::Tensor& x) { return torch::leaky_relu(x, slope_below_zero); }

std::vector<int64_t> widths(int64_t in, const std::vector<int64_t>& hidden, int64_t out) {
  std::vector<int64_t> all = {in};
  all.insert(all.end(), hidden.begin(), hidden.end());
  all.push_back(out);
  return all;
}

void bind_lr_factor(OptionTable& table, double& lr_factor) {
  table.add("model.discriminator_lr_factor", lr_factor,
            "learning rate of the discriminator, as a multiple of optimizer.lr", Range::above(0));
}

}  // namespace

void DiscriminatorOptions::bind(OptionTable& table) {
  table.add("model.discriminator_hidden", hidden, "widths of the hidden layers of the discriminator",
            Range::between(1, 1 << 30));
  bind_lr_factor(table, lr_factor);
}

void RowDiscriminatorOptions::bind(OptionTable& table) {
  table.add("model.r1_penalty", r1_penalty,
            "weight of the R1 penalty, the squared gradient of the discriminator at rows of the data "
            "(Mescheder et al. 2018); 0: none, as in the paper of the model",
            Range::at_least(0));
  bind_lr_factor(table, lr_factor);
}

Discriminator::Discriminator(int64_t in, const DiscriminatorOptions& options, int64_t logits,
                             RandomGenerator& init)
    : mlp_(register_module("mlp", std::make_shared<Mlp>(widths(in, options.hidden, logits), leaky, init))) {}

torch::Tensor Discriminator::forward(const torch::Tensor& z) { return mlp_->forward(z); }

}  // namespace elbo
