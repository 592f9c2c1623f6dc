#include "elbo/nn/precision.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <thread>

#include "elbo/nn/layers.h"
#include "elbo/nn/made.h"
#include "elbo/nn/recurrent.h"

namespace elbo {
namespace {

// The outputs of a layer in float32 and in bfloat16, and the gradients of its parameters.
template <typename Forward>
void expect_rounded_products(torch::nn::Module& layer, Forward&& forward) {
  const torch::Tensor exact = forward();
  const MatmulPrecision precision(torch::kBFloat16);
  const torch::Tensor rounded = forward();
  EXPECT_EQ(rounded.scalar_type(), torch::kFloat32);
  EXPECT_FALSE(torch::equal(exact, rounded));
  // bfloat16 has 8 significant bits; a sum of a few products has a slightly larger error.
  EXPECT_TRUE(torch::allclose(exact, rounded, 0.02, 0.02)) << (exact - rounded).abs().max();
  rounded.sum().backward();
  for (const torch::Tensor& parameter : layer.parameters()) {
    ASSERT_TRUE(parameter.grad().defined());
    EXPECT_EQ(parameter.grad().scalar_type(), torch::kFloat32);
  }
}

TEST(Precision, LayersMultiplyRoundedNumbersAndReturnFloat32) {
  RandomGenerator init(Key(1));
  const torch::Tensor rows = init.normal({5, 12}), images = init.normal({2, 3, 8, 8});
  Linear linear(12, 7, init);
  expect_rounded_products(linear, [&] { return linear.forward(rows); });
  Convolution conv(2, 3, 4, 3, 1, 1, init);
  expect_rounded_products(conv, [&] { return conv.forward(images); });
  TransposedConvolution transposed(3, 4, 4, 2, 1, {0, 0}, init);
  expect_rounded_products(transposed, [&] { return transposed.forward(images); });
  const torch::Tensor volumes = init.normal({2, 3, 5, 6, 7});
  Convolution conv3d(3, 3, 4, 3, 1, 1, init);
  expect_rounded_products(conv3d, [&] { return conv3d.forward(volumes); });
  TransposedConvolution transposed3d(3, 4, 4, 2, 1, {1, 0, 1}, init);
  expect_rounded_products(transposed3d, [&] { return transposed3d.forward(volumes); });
  CausalConv1d causal(3, 4, 3, 2, init);
  expect_rounded_products(causal, [&] { return causal.forward(images.flatten(2)); });
  Gru gru(12, 6, init);
  expect_rounded_products(gru, [&] { return gru.step(rows, torch::ones({5, 6})); });
  MaskedLinear masked(torch::ones({7, 12}), init);
  expect_rounded_products(masked, [&] { return masked.forward(rows); });
}

TEST(Precision, IsOfOneThreadAndEndsWithItsObject) {
  {
    const MatmulPrecision precision(torch::kBFloat16);
    torch::ScalarType elsewhere = torch::kBFloat16;
    std::thread([&] { elsewhere = MatmulPrecision::current(); }).join();
    EXPECT_EQ(elsewhere, torch::kFloat32);
    EXPECT_EQ(MatmulPrecision::current(), torch::kBFloat16);
  }
  EXPECT_EQ(MatmulPrecision::current(), torch::kFloat32);
}

}  // namespace
}  // namespace elbo
