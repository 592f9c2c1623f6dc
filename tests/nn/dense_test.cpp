#include "elbo/nn/dense.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <vector>

#include "elbo/base/random.h"
#include "elbo/kernels/gradient_sums.h"
#include "elbo/nn/kernels.h"
#include "elbo/nn/layers.h"

namespace elbo {
namespace {

class Dense : public testing::Test {
 protected:
  void SetUp() override { use_kernels(Kernels::portable); }
  void TearDown() override { use_kernels(Kernels::library); }

  static torch::Tensor drawn(std::vector<int64_t> sizes, uint64_t seed) {
    RandomGenerator noise(Key{seed});
    return noise.normal(sizes);
  }
  // The weight is the middle of a range of parameters, whose sums are `sums`.
  static constexpr int64_t out = 30, in = 50, before = 7;
  torch::Tensor parameters = drawn({before + out * in + 5}, 1);
  torch::Tensor sums = drawn({before + out * in + 5}, 2);
  torch::Tensor weight = parameters.narrow(0, before, out* in).view({out, in}).requires_grad_();
  torch::Tensor bias = drawn({out}, 3).requires_grad_();
  torch::Tensor x = drawn({9, in}, 4).requires_grad_();
  GradientSums all;

  torch::Tensor sum_of_weight() const { return sums.narrow(0, before, out * in).view({out, in}); }
  void begin(bool adds) {
    all.begin(parameters.const_data_ptr<float>(), parameters.numel(), sums.mutable_data_ptr<float>(), adds);
  }
  void backward(const torch::Tensor& y) {
    for (torch::Tensor* each : {&weight, &bias, &x}) each->mutable_grad().reset();
    (y * drawn(y.sizes().vec(), 5)).sum().backward();
  }
};

TEST_F(Dense, AddsItsGradientToTheSumsWithTheBitsOfLinear) {
  backward(torch::linear(x, weight, bias));
  const torch::Tensor of_weight = weight.grad(), of_bias = bias.grad(), of_x = x.grad();
  const torch::Tensor kept = sums.clone();
  for (const bool adds : {true, false}) {
    sums.copy_(kept);
    const torch::Tensor expected = adds ? sum_of_weight() + of_weight : of_weight;
    begin(adds);
    {
      const GradientSums::Use use(all);
      const torch::Tensor y = dense(x, weight, bias);
      EXPECT_TRUE(torch::equal(y, torch::linear(x, weight, bias)));
      backward(y);
    }
    EXPECT_TRUE(all.taken(weight.const_data_ptr<float>()));
    EXPECT_TRUE(torch::equal(sum_of_weight(), expected));
    EXPECT_TRUE(torch::equal(bias.grad(), of_bias));
    EXPECT_TRUE(torch::equal(x.grad(), of_x));
    // Nothing beside the weight's sums has changed.
    EXPECT_TRUE(torch::equal(sums.narrow(0, 0, before), kept.narrow(0, 0, before)));
    EXPECT_TRUE(torch::equal(sums.narrow(0, before + out * in, 5), kept.narrow(0, before + out * in, 5)));
  }
}

TEST_F(Dense, LeavesTheSumsAloneWhereTheWeightIsUsedAgain) {
  const torch::Tensor z = drawn({4, in}, 6);
  backward(torch::cat({torch::linear(x, weight, bias), torch::linear(z, weight, bias)}));
  const torch::Tensor expected = weight.grad(), kept = sums.clone();
  begin(true);
  {
    const GradientSums::Use use(all);
    backward(torch::cat({dense(x, weight, bias), dense(z, weight, bias)}));
  }
  EXPECT_FALSE(all.taken(weight.const_data_ptr<float>()));
  EXPECT_TRUE(torch::equal(weight.grad(), expected));
  EXPECT_TRUE(torch::equal(sums, kept));
  // A use in another shape counts, too.
  begin(true);
  {
    const GradientSums::Use use(all);
    backward(torch::cat({dense(x, weight, bias), dense(z.view({2, 2, in}), weight, bias).flatten(0, 1)}));
  }
  EXPECT_FALSE(all.taken(weight.const_data_ptr<float>()));
  EXPECT_TRUE(torch::equal(sums, kept));
}

TEST_F(Dense, OfAParameterOutsideOfTheRangeGivesTensors) {
  const torch::Tensor kept = sums.clone();
  all.begin(parameters.const_data_ptr<float>(), before, sums.mutable_data_ptr<float>(), true);
  {
    const GradientSums::Use use(all);
    backward(dense(x, weight, bias));
  }
  EXPECT_TRUE(weight.grad().defined());
  EXPECT_TRUE(torch::equal(sums, kept));
}

// In the order in which LibTorch adds the gradients of several uses.
TEST_F(Dense, ItsDerivativeHasADerivativeWithTheBitsOfLinear) {
  const torch::Tensor z = drawn({9, in}, 6);
  const auto penalty = [&](const auto& layer) {
    const torch::Tensor y = layer(x, weight, bias) + layer(z, weight, bias).tanh();
    const torch::Tensor slope = torch::autograd::grad({y.square().sum()}, {x}, {}, true, true).front();
    return slope.square() + y.sum();
  };
  backward(penalty(torch::linear));
  const torch::Tensor expected = weight.grad();
  begin(true);
  const torch::Tensor kept = sums.clone();
  {
    const GradientSums::Use use(all);
    backward(penalty(dense));
  }
  // The slope uses the weight, too.
  EXPECT_FALSE(all.taken(weight.const_data_ptr<float>()));
  EXPECT_TRUE(torch::equal(weight.grad(), expected));
  EXPECT_TRUE(torch::equal(sums, kept));
}

}  // namespace
}  // namespace elbo
