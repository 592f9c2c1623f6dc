#include "elbo/nn/discriminator.h"

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

namespace elbo {
namespace {

TEST(Discriminator, HasANegativeSlopeOfAFifth) {
  RandomGenerator init(Key(1));
  Discriminator discriminator(1, {.hidden = {1}}, 1, init);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : discriminator.parameters()) parameter.fill_(parameter.dim() == 2 ? 1.0 : 0.0);
  const torch::Tensor logit = discriminator.forward(torch::tensor({{-3.0F}, {2.0F}}));
  EXPECT_TRUE(torch::allclose(logit, torch::tensor({{-0.6F}, {2.0F}})));
}

TEST(Discriminator, WithoutHiddenLayersIsLinear) {
  RandomGenerator init(Key(1));
  Discriminator discriminator(3, {.hidden = {}}, 2, init);
  EXPECT_EQ(discriminator.parameters().size(), 2);
  EXPECT_EQ(discriminator.forward(torch::ones({5, 3})).sizes(), (std::vector<int64_t>{5, 2}));
}

}  // namespace
}  // namespace elbo
