// The arithmetic of operators for GPUs, put in place of the CPU's: the same bits, types and shapes.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <functional>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/operators/operators.h"
#include "elbo/operators/registration.h"
#include "gpu_stand_in/stand_in.h"

namespace elbo {
namespace {

using Results = std::vector<torch::Tensor>;

// x (3, 4, 5), y (4, 1)
Results arithmetic(const torch::Tensor& x, const torch::Tensor& y) {
  const torch::Tensor d = y.to(torch::kFloat64);
  const torch::Tensor n = torch::arange(60).view({3, 4, 5}), flags = n.gt(7);
  torch::Tensor in_place = x.transpose(0, 2).clone();
  in_place.add_(y, 0.3).sub_(y.clone(), 0.7).div_(3);
  return {in_place,
          torch::add(x, y, 0.3),
          torch::sub(x, y, 1.7),
          x + 0.1,
          1 - x,
          x + n,
          n + 2,
          n + 0.5,
          n - n,
          x + d,
          x.transpose(0, 2) / y,
          x / 3,
          2 / x,
          n / 7,
          n / n.select(0, 1),
          torch::add(x.permute({2, 0, 1}), y.view({4}), 2),
          torch::ones({}) + x,
          torch::full({}, 0.1, torch::kFloat64) * 1.0 + x,
          x.mean(),
          x.mean(1),
          x.mean({0, 2}, true),
          n.mean(torch::kFloat32),
          x.cumsum(0),
          x.cumsum(-1),
          x.transpose(0, 1).cumsum(1),
          d.cumsum(0),
          n.cumsum(2),
          flags.cumsum(1),
          torch::full({}, 2.0F).cumsum(0),
          torch::zeros({0, 3}).cumsum(1),
          torch::zeros({0, 3}) + 1,
          x.scatter_add(1, n.remainder(4), n.to(torch::kFloat32) * 0.1),
          x.scatter_add(-1, n.remainder(5), y.expand({3, 4, 5})),
          x.index_add(1, torch::tensor({3, 0, 3}), x.narrow(1, 1, 3)),
          x.transpose(0, 2).clone().transpose(0, 2).index_add_(0, torch::tensor({2, 2}), x.narrow(0, 0, 2))};
}

TEST(GpuArithmetic, HasTheBitsTypesAndShapesOfCpus) {
  RandomGenerator noise(Key(1), torch::kCPU);
  const torch::Tensor x = noise.normal({3, 4, 5}), y = noise.normal({4, 1});
  use_portable_operators(true);
  const Results expected = arithmetic(x, y);
  use_portable_operators(false);
  Results found;
  {
    const GpuStandIn gpu;
    OperatorTable table(c10::DispatchKey::CPU);
    for (const auto add :
         {add_functions, add_activations, add_arithmetic, add_gpu_arithmetic, add_reductions})
      add(table);
    found = arithmetic(x, y);
  }
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].scalar_type(), expected[i].scalar_type()) << i;
    EXPECT_TRUE(torch::equal(found[i], expected[i])) << i << ": " << found[i] << expected[i];
  }
}

// Sums and layers that models use rarely.
Results layers() {
  RandomGenerator noise(Key(2), torch::kCPU);
  const torch::Tensor x = noise.normal({3, 4, 5}), y = noise.normal({3, 5, 6});
  const torch::Tensor a = noise.normal({7, 4}).t(), b = noise.normal({7, 5});
  const torch::Tensor volume = noise.normal({2, 3, 4, 5, 6}), kernel = noise.normal({4, 3, 2, 3, 2});
  const torch::Tensor index = torch::tensor({{1, 0, 4}, {1, 1, 2}});
  return {torch::bmm(x, y),
          torch::bmm(x.to(torch::kFloat64), y.to(torch::kFloat64)),
          torch::baddbmm(torch::ones({}), x, y, 0.5, 2),
          torch::mm(a, b),
          torch::addmm(noise.normal({4, 5}), a, b),
          torch::addmm(noise.normal({4, 1}), a, b),
          torch::addmm(noise.normal({5}), a, b, 0.5, 2),
          torch::mm(torch::zeros({0, 4}), torch::zeros({4, 3})),
          torch::mm(torch::zeros({2, 0}), torch::zeros({0, 3})),
          torch::mv(a, noise.normal({7})),
          x.logsumexp(1),
          x.softmax(1),
          x.to(torch::kFloat64).log_softmax(-1),
          torch::zeros({0, 3}).softmax(1),
          torch::ones({}).softmax(0),
          x.sum({0, 1}, true),
          x.var(1),
          x.std({0, 2}, false),
          torch::conv3d(volume, kernel, {}, 1, 1),
          torch::conv_transpose3d(volume, kernel.transpose(0, 1), {}, 2, 1, 1),
          torch::conv1d(x, noise.normal({2, 4, 3}), noise.normal({2}), {1}, torch::IntArrayRef{2}, {2}),
          torch::embedding_dense_backward(noise.normal({2, 3, 8}), index, 6, -1, false),
          torch::embedding_dense_backward(noise.normal({2, 3, 8}), index, 6, 1, false),
          torch::gelu(x),
          torch::logaddexp(x, 2 * x)};
}

TEST(GpuOperators, HaveTheBitsOfCpus) {
  use_portable_operators(true);
  const Results expected = layers();
  Results found;
  int64_t launches = 0;
  {
    const GpuStandIn gpu;
    found = layers();
    launches = gpu.launches();
  }
  use_portable_operators(false);
  EXPECT_GE(launches, 30);
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(torch::equal(found[i], expected[i])) << i << ": " << found[i] << expected[i];
}

TEST(GpuOperators, AreRegisteredForGpus) {
  EXPECT_FALSE(is_portable_operator("aten::mm", /*on_gpu=*/true));
  use_portable_gpu_operators();
  for (const char* name :
       {"aten::mm", "aten::convolution", "aten::sum.dim_IntList", "aten::add.Tensor", "aten::div.Tensor"})
    EXPECT_TRUE(is_portable_operator(name, /*on_gpu=*/true)) << name;
  EXPECT_FALSE(is_portable_operator("aten::normal_", /*on_gpu=*/true));
}

}  // namespace
}  // namespace elbo
