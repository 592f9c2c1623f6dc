#include "elbo/nn/recurrent.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/nn/kernels.h"

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

void expect_the_same_bits_without_padding(Kernels kernels) {
  use_kernels(kernels);
  RandomGenerator init(Key(1));
  for (const std::string& cell : cell_names()) {
    const auto tested = make_cell(cell, 3, 4, init);
    const torch::Tensor x = init.normal({5, 9, 3}), state = init.normal({5, tested->state_size()});
    const torch::Tensor weights = torch::cat({init.normal({5, 6, 4}), torch::zeros({5, 3, 4})}, 1);
    std::vector<torch::Tensor> outputs;
    std::vector<std::vector<torch::Tensor>> gradients;
    for (const int64_t steps : {6, 9}) {
      outputs.push_back(tested->unroll(x, state, steps));
      gradients.push_back(torch::autograd::grad({(outputs.back() * weights).sum()}, tested->parameters()));
    }
    EXPECT_TRUE(torch::equal(outputs[0].narrow(1, 0, 6), outputs[1].narrow(1, 0, 6))) << cell;
    EXPECT_EQ(outputs[0].narrow(1, 6, 3).abs().max().item<double>(), 0) << cell;
    for (size_t i = 0; i < gradients[0].size(); ++i)
      EXPECT_TRUE(torch::equal(gradients[0][i], gradients[1][i])) << cell << i;
  }
  use_kernels(Kernels::library);
}

TEST(Unroll, LeavesOutPaddingWithTheSameBits) {
  expect_the_same_bits_without_padding(Kernels::library);
  expect_the_same_bits_without_padding(Kernels::portable);
}

TEST(LongestRow, IsTheLastStepThatIsNotPaddingAndAtLeastOne) {
  EXPECT_EQ(longest_row(torch::tensor({0, 2, 5, 3}), 8), 5);
  EXPECT_EQ(longest_row(torch::tensor({0, 0}), 8), 1);
  EXPECT_EQ(longest_row({}, 8), 8);
}

TEST(StepMask, IsOneBeforeTheLength) {
  const torch::Tensor mask = step_mask(torch::tensor({0, 2, 3}), 3, 3, torch::kCPU);
  EXPECT_TRUE(
      torch::equal(mask, torch::tensor({{0.0F, 0.0F, 0.0F}, {1.0F, 1.0F, 0.0F}, {1.0F, 1.0F, 1.0F}})));
  EXPECT_TRUE(torch::equal(step_mask({}, 2, 3, torch::kCPU), torch::ones({2, 3})));
}

}  // namespace
}  // namespace elbo
