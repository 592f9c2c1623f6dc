#include "elbo/nn/autoregressive_flow.h"

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

namespace elbo {
namespace {

// In float64, with parameters far from their initial values, so that the flow is not nearly linear.
class AutoregressiveFlowTest : public testing::Test {
 protected:
  static constexpr int64_t rows = 3, latent = 4, context_values = 2;
  RandomGenerator noise{Key(1)};
  AutoregressiveFlow flow{{latent, 3, {9, 8}, find_activation("tanh")}, context_values, noise};
  torch::Tensor z, context;
  const torch::NoGradGuard no_grad;

  void SetUp() override {
    flow.to(torch::kFloat64);
    for (torch::Tensor& parameter : flow.parameters()) parameter.mul_(3);
    z = noise.normal({rows, latent}).to(torch::kFloat64);
    context = noise.normal({rows, context_values}).to(torch::kFloat64);
  }
};

TEST_F(AutoregressiveFlowTest, MakesOfTheNoiseOfACodeTheCode) {
  const torch::Tensor u = flow.to_noise(z, context).z;
  EXPECT_GT((u - z).abs().max().item<double>(), 0.5) << "the case is too plain";
  EXPECT_TRUE(torch::allclose(flow.from_noise(u, context), z, 0, 1e-9));
  EXPECT_FALSE(torch::allclose(flow.from_noise(u, context + 1), z, 0, 1e-2)) << "the context has an effect";
}

TEST_F(AutoregressiveFlowTest, HasTheLogDeterminantOfTheNumericJacobian) {
  constexpr double step = 1e-5;
  torch::Tensor jacobian = torch::zeros({rows, latent, latent}, torch::kFloat64);
  for (int64_t i = 0; i < latent; ++i) {
    torch::Tensor shift = torch::zeros({1, latent}, torch::kFloat64);
    shift.select(1, i).fill_(step);
    const torch::Tensor above = flow.to_noise(z + shift, context).z;
    const torch::Tensor below = flow.to_noise(z - shift, context).z;
    jacobian.select(2, i).copy_((above - below) / (2 * step));
  }
  const torch::Tensor expected = jacobian.det().abs().log();
  const torch::Tensor found = flow.to_noise(z, context).log_det;
  EXPECT_TRUE(torch::allclose(found, expected, 0, 1e-6)) << found << expected;
}

}  // namespace
}  // namespace elbo
