#include "elbo/nn/kernels.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <functional>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/convolve.h"
#include "elbo/nn/functions.h"
#include "elbo/nn/gates.h"
#include "elbo/nn/linear.h"

namespace elbo {
namespace {

class PortableKernels {
 public:
  PortableKernels() { use_kernels(Kernels::portable); }
  ~PortableKernels() { use_kernels(Kernels::library); }
};

using Layer = std::function<torch::Tensor(const std::vector<torch::Tensor>&)>;

// The layer's output and the gradients of its inputs, for a gradient of the output that differs between
// elements.
std::vector<torch::Tensor> run(const Layer& layer, const std::vector<torch::Tensor>& inputs) {
  std::vector<torch::Tensor> leaves;
  for (const torch::Tensor& input : inputs) leaves.push_back(input.detach().clone().requires_grad_());
  const torch::Tensor y = layer(leaves);
  y.backward(torch::arange(y.numel(), y.options()).sin().view(y.sizes()));
  std::vector<torch::Tensor> results = {y.detach()};
  for (const torch::Tensor& leaf : leaves) results.push_back(leaf.grad());
  return results;
}

// The library's in float64 is the reference.
void expect_as_the_library(const Layer& layer, const std::vector<torch::Tensor>& inputs) {
  std::vector<torch::Tensor> precise;
  for (const torch::Tensor& input : inputs) precise.push_back(input.to(torch::kFloat64));
  const std::vector<torch::Tensor> expected = run(layer, precise);
  const PortableKernels portable;
  const std::vector<torch::Tensor> found = run(layer, inputs);
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].sizes(), expected[i].sizes()) << i;
    EXPECT_TRUE(torch::allclose(found[i].to(torch::kFloat64), expected[i], 1e-4, 1e-4)) << i;
  }
}

torch::Tensor random(torch::IntArrayRef sizes, uint64_t seed) {
  RandomGenerator generator(Key(seed), torch::kCPU);
  return generator.normal(sizes);
}

TEST(PortableKernels, LinearIsTheLibrarysUpToRounding) {
  const Layer layer = [](const auto& in) { return linear(in[0], in[1], in[2]); };
  expect_as_the_library(layer, {random({7, 19}, 1), random({33, 19}, 2), random({33}, 3)});
  expect_as_the_library(layer, {random({4, 5, 64}, 1), random({48, 64}, 2), random({48}, 3)});
  expect_as_the_library(layer, {random({64, 5}, 1).t(), random({10, 64}, 2), random({10}, 3)});
}

TEST(PortableKernels, ConvolutionsAreTheLibrarysUpToRounding) {
  for (const int64_t channels : {1, 3, 8})
    for (const int64_t stride : {1, 2}) {
      SCOPED_TRACE(testing::Message() << channels << " channels, stride " << stride);
      expect_as_the_library(
          [&](const auto& in) { return convolve(in[0], in[1], in[2], stride, 1); },
          {random({3, channels, 9, 12}, 1), random({5, channels, 4, 4}, 2), random({5}, 3)});
      for (const int64_t more : {int64_t{0}, stride - 1})
        expect_as_the_library(
            [&](const auto& in) {
              return convolve_transposed(in[0], in[1], in[2], stride, 1, {more, 0});
            },
            {random({3, 5, 4, 6}, 1), random({5, channels, 4, 4}, 2), random({channels}, 3)});
    }
}

TEST(PortableKernels, FunctionsAreTheLibrarysUpToRounding) {
  const std::vector<torch::Tensor> x = {random({5, 37}, 1) * 4};
  expect_as_the_library([](const auto& in) { return exp_of(in[0]); }, x);
  expect_as_the_library([](const auto& in) { return tanh_of(in[0]); }, x);
  expect_as_the_library([](const auto& in) { return sigmoid_of(in[0]); }, x);
  expect_as_the_library([](const auto& in) { return softplus_of(in[0]); }, x);
}

TEST(PortableKernels, GatesAreTheLibrarysUpToRounding) {
  expect_as_the_library([](const auto& in) { return gru_step(in[0], in[1], in[2]); },
                        {random({4, 21}, 1), random({4, 21}, 2), random({4, 7}, 3)});
  expect_as_the_library([](const auto& in) { return lstm_step(in[0], in[1]); },
                        {random({4, 28}, 1), random({4, 7}, 2)});
}

TEST(PortableKernels, ARowHasTheSameBitsAloneAndAmongOthers) {
  const PortableKernels portable;
  const torch::Tensor x = random({33, 2, 11, 11}, 1), weight = random({6, 2, 4, 4}, 2), bias = random({6}, 3);
  const torch::Tensor together = convolve(x, weight, bias, 2, 1);
  for (const int64_t row : {0, 5, 32})
    EXPECT_TRUE(torch::equal(convolve(x.narrow(0, row, 1), weight, bias, 2, 1), together.narrow(0, row, 1)));
}

}  // namespace
}  // namespace elbo
