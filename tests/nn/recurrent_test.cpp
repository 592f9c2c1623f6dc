#include "elbo/nn/recurrent.h"

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

namespace elbo {
namespace {

TEST(Gru, IsLibTorchs) {
  const torch::NoGradGuard no_grad;
  RandomGenerator init(Key(1));
  const Gru gru(3, 4, init);
  const torch::Tensor x = init.normal({5, 2, 3}), h = init.normal({5, 4});
  const std::vector<torch::Tensor> p = gru.parameters();
  const torch::Tensor first = torch::gru_cell(x.select(1, 0), h, p[0], p[1], p[2], p[3]);
  const torch::Tensor second = torch::gru_cell(x.select(1, 1), first, p[0], p[1], p[2], p[3]);
  EXPECT_TRUE(torch::allclose(gru.step(x.select(1, 0), h), first, 1e-4, 1e-6));
  EXPECT_TRUE(torch::allclose(gru.unroll(x, h), torch::stack({first, second}, 1), 1e-4, 1e-6));
}

TEST(Lstm, IsLibTorchs) {
  const torch::NoGradGuard no_grad;
  RandomGenerator init(Key(1));
  const Lstm lstm(3, 4, init);
  EXPECT_EQ(lstm.state_size(), 8);
  const torch::Tensor x = init.normal({5, 2, 3}), h = init.normal({5, 4}), c = init.normal({5, 4});
  const std::vector<torch::Tensor> p = lstm.parameters();
  const auto [h1, c1] = torch::lstm_cell(x.select(1, 0), {h, c}, p[0], p[1], p[2], p[3]);
  const auto [h2, c2] = torch::lstm_cell(x.select(1, 1), {h1, c1}, p[0], p[1], p[2], p[3]);
  const torch::Tensor state = torch::cat({h, c}, 1);
  EXPECT_TRUE(torch::allclose(lstm.step(x.select(1, 0), state), torch::cat({h1, c1}, 1), 1e-4, 1e-6));
  EXPECT_TRUE(torch::allclose(lstm.unroll(x, state), torch::stack({h1, h2}, 1), 1e-4, 1e-6));
}

TEST(StepMask, IsOneBeforeTheLength) {
  const torch::Tensor mask = step_mask(torch::tensor({0, 2, 3}), 3, 3, torch::kCPU);
  EXPECT_TRUE(
      torch::equal(mask, torch::tensor({{0.0F, 0.0F, 0.0F}, {1.0F, 1.0F, 0.0F}, {1.0F, 1.0F, 1.0F}})));
  EXPECT_TRUE(torch::equal(step_mask({}, 2, 3, torch::kCPU), torch::ones({2, 3})));
}

}  // namespace
}  // namespace elbo
