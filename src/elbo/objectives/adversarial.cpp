#include "elbo/objectives/adversarial.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

namespace elbo {

torch::Tensor discriminator_loss(const torch::Tensor& real_logit, const torch::Tensor& fake_logit) {
  return torch::softplus(-real_logit) + torch::softplus(fake_logit);
}

torch::Tensor generator_loss(const torch::Tensor& fake_logit) { return torch::softplus(-fake_logit); }

torch::Tensor r1_penalty(const torch::Tensor& logit, const torch::Tensor& x) {
  const torch::Tensor gradient = torch::autograd::grad({logit.sum()}, {x}, {}, /*retain_graph=*/true,
                                                       /*create_graph=*/true)
                                     .front();
  return 0.5 * gradient.square().flatten(1).sum(1);
}

torch::Tensor log_density_ratio(const torch::Tensor& logits) {
  return logits.select(1, 0) - logits.select(1, 1);
}

torch::Tensor permute_dimensions(const torch::Tensor& z, RandomGenerator& noise) {
  // A stable sort: the order of equal keys is defined.
  const torch::Tensor order = noise.uniform(z.sizes()).argsort(/*stable=*/true, /*dim=*/0);
  return z.gather(0, order);
}

}  // namespace elbo
