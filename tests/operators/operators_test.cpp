#include "elbo/operators/operators.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/kernels/sums.h"

namespace elbo {
namespace {

class PortableOperators {
 public:
  PortableOperators() { use_portable_operators(true); }
  ~PortableOperators() { use_portable_operators(false); }
  PortableOperators(const PortableOperators&) = delete;
  PortableOperators& operator=(const PortableOperators&) = delete;
};

using Tensors = std::vector<torch::Tensor>;
using Function = std::function<torch::Tensor(const Tensors&)>;

torch::Tensor random(torch::IntArrayRef sizes, uint64_t seed) {
  RandomGenerator generator(Key(seed), torch::kCPU);
  return generator.normal(sizes);
}

// The function's value and the gradients of its inputs, for a gradient of the value that differs between
// elements. twice: also those of the sum of the squared gradients, where they exist.
Tensors run(const Function& function, const Tensors& inputs, bool twice) {
  Tensors leaves;
  for (const torch::Tensor& input : inputs) leaves.push_back(input.detach().clone().requires_grad_());
  const torch::Tensor y = function(leaves);
  const torch::Tensor dy =
      (torch::arange(y.numel(), torch::kFloat64) * 0.7).sin().view(y.sizes()).to(y.scalar_type());
  Tensors results = {y};
  const Tensors first =
      torch::autograd::grad({y}, leaves, {dy}, /*retain_graph=*/true, /*create_graph=*/twice);
  results.insert(results.end(), first.begin(), first.end());
  if (!twice) return results;
  torch::Tensor squares = torch::zeros({}, y.options());
  for (const torch::Tensor& gradient : first) squares = squares + gradient.square().sum();
  if (!squares.requires_grad()) return results;  // of a linear function
  for (const torch::Tensor& second :
       torch::autograd::grad({squares}, leaves, {}, std::nullopt, false, /*allow_unused=*/true))
    if (second.defined()) results.push_back(second);
  return results;
}

// LibTorch's in float64 is the reference.
void expect_as_the_library(const Function& function, const Tensors& inputs, bool twice = true) {
  Tensors precise;
  for (const torch::Tensor& input : inputs) precise.push_back(input.to(torch::kFloat64));
  const Tensors expected = run(function, precise, twice);
  const PortableOperators portable;
  const Tensors found = run(function, inputs, twice);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].sizes(), expected[i].sizes()) << i;
    EXPECT_EQ(found[i].scalar_type(), torch::kFloat32) << i;
    EXPECT_TRUE(torch::allclose(found[i].to(torch::kFloat64), expected[i], 1e-4, 1e-4))
        << i << ": " << (found[i] - expected[i]).abs().max();
  }
}

TEST(PortableOperators, FunctionsAndTheirDerivativesAreTheLibrarysUpToRounding) {
  struct Named {
    const char* name;
    torch::Tensor (*of)(const torch::Tensor&);
  };
  const Named all[] = {{"exp", [](const torch::Tensor& x) { return x.exp(); }},
                       {"log", [](const torch::Tensor& x) { return (x.abs() + 0.1).log(); }},
                       {"log1p", [](const torch::Tensor& x) { return x.abs().log1p(); }},
                       {"expm1", [](const torch::Tensor& x) { return x.expm1(); }},
                       {"sqrt", [](const torch::Tensor& x) { return (x.abs() + 0.1).sqrt(); }},
                       {"erf", [](const torch::Tensor& x) { return x.erf(); }},
                       {"sin", [](const torch::Tensor& x) { return x.sin(); }},
                       {"cos", [](const torch::Tensor& x) { return x.cos(); }},
                       {"tanh", [](const torch::Tensor& x) { return x.tanh(); }},
                       {"sigmoid", [](const torch::Tensor& x) { return x.sigmoid(); }},
                       {"softplus", [](const torch::Tensor& x) { return torch::softplus(x); }},
                       {"softplus of a factor", [](const torch::Tensor& x) { return torch::softplus(x, 2); }},
                       {"log_sigmoid", [](const torch::Tensor& x) { return torch::log_sigmoid(x); }},
                       {"silu", [](const torch::Tensor& x) { return torch::silu(x); }},
                       {"gelu", [](const torch::Tensor& x) { return torch::gelu(x); }},
                       {"elu", [](const torch::Tensor& x) { return torch::elu(x, 1.3); }},
                       {"logit", [](const torch::Tensor& x) { return (x.sigmoid() * 0.9).logit(); }}};
  for (const Named& function : all) {
    SCOPED_TRACE(function.name);
    const Function of = [&](const Tensors& in) { return function.of(in[0]); };
    expect_as_the_library(of, {random({5, 37}, 1) * 2});
    expect_as_the_library(of, {random({3, 4, 5}, 2).transpose(0, 2)});
    expect_as_the_library(of, {random({9, 20}, 3).slice(1, 1, 20, 2)});
  }
  const Function gamma = [](const Tensors& in) { return in[0].lgamma(); };
  expect_as_the_library(gamma, {random({5, 37}, 1).square() + 0.01}, /*twice=*/false);
}

TEST(PortableOperators, FunctionsHaveTheirThreeForms) {
  const torch::Tensor x = random({7, 3}, 1);
  const torch::Tensor expected = x.to(torch::kFloat64).exp().to(torch::kFloat32);
  const PortableOperators portable;
  torch::Tensor out = torch::empty({0}), in_place = x.clone();
  torch::exp_out(out, x);
  in_place.t().exp_();
  EXPECT_TRUE(torch::equal(out, x.exp()));
  EXPECT_TRUE(torch::equal(in_place, x.exp()));
  EXPECT_TRUE(torch::allclose(out, expected));
  EXPECT_TRUE(torch::allclose(torch::arange(3).exp(), torch::arange(3, torch::kFloat32).exp()));
}

TEST(PortableOperators, LogaddexpKnowsInfinities) {
  expect_as_the_library([](const Tensors& in) { return torch::logaddexp(in[0], in[1]); },
                        {random({4, 5}, 1), random({5}, 2)});
  const PortableOperators portable;
  const float infinity = INFINITY;
  const torch::Tensor a = torch::tensor({-infinity, infinity, -infinity, 1.0F}),
                      b = torch::tensor({-infinity, infinity, 2.0F, infinity});
  EXPECT_TRUE(torch::equal(torch::logaddexp(a, b), torch::tensor({-infinity, infinity, 2.0F, infinity})));
  EXPECT_TRUE(torch::equal(torch::special_entr(torch::tensor({0.0F, 1.0F, -1.0F})),
                           torch::tensor({0.0F, 0.0F, -infinity})));
}

TEST(PortableOperators, SumsAreTheLibrarysUpToRounding) {
  const std::vector<std::vector<int64_t>> all = {{}, {0}, {1}, {2}, {0, 1}, {1, 2}, {0, 2}, {0, 1, 2}, {-1}};
  for (const std::vector<int64_t>& dims : all)
    for (const bool keep : {false, true}) {
      SCOPED_TRACE(testing::Message() << testing::PrintToString(dims) << keep);
      for (const torch::Tensor& x :
           {random({3, 17, 5}, 1), random({3, 17, 1}, 2), random({5, 17, 3}, 3).transpose(0, 2),
            random({1, 1, 1}, 4), random({2, 1100, 2}, 5)}) {
        expect_as_the_library([&](const Tensors& in) { return in[0].sum(dims, keep); }, {x});
        expect_as_the_library([&](const Tensors& in) { return in[0].mean(dims, keep); }, {x});
        expect_as_the_library(
            [&](const Tensors& in) {
              return in[0].logsumexp(dims.empty() ? std::vector<int64_t>{0} : dims, keep);
            },
            {x});
      }
    }
  expect_as_the_library([](const Tensors& in) { return in[0].sum() * in[0].mean(); }, {random({7, 9}, 1)});
  expect_as_the_library([](const Tensors& in) { return in[0].sum(); }, {random({}, 1)});
  expect_as_the_library([](const Tensors& in) { return in[0].var(0) + in[0].std({0}, false); },
                        {random({7, 9}, 1)});
  const PortableOperators portable;
  EXPECT_EQ(torch::zeros({0, 3}).sum(0).sizes(), (std::vector<int64_t>{3}));
  EXPECT_TRUE(torch::equal(torch::zeros({0, 3}).sum(0), torch::zeros({3})));
  EXPECT_TRUE(torch::equal(torch::zeros({3, 0}).sum(1), torch::zeros({3})));
  EXPECT_EQ(torch::ones({3}, torch::kBool).sum().item<int64_t>(), 3);
  EXPECT_EQ(random({9}, 1).sum(torch::kFloat64).scalar_type(), torch::kFloat64);
}

TEST(PortableOperators, SumsHaveTheDefinedOrder) {
  const PortableOperators portable;
  const torch::Tensor x = random({3, 1300}, 1);
  for (int64_t row = 0; row < 3; ++row)
    EXPECT_EQ(x.sum(1)[row].item<float>(), sum(x.const_data_ptr<float>() + row * 1300, 1300));
  EXPECT_EQ(x.sum().item<float>(), sum(x.const_data_ptr<float>(), 3900));
  // Of columns: ascending, in whatever order they are in memory.
  const torch::Tensor expected = (x[0] + x[1]) + x[2];
  EXPECT_TRUE(torch::equal(x.sum(0), expected));
  EXPECT_TRUE(torch::equal(x.t().contiguous().t().sum(0), expected));
  EXPECT_TRUE(torch::equal(x.t().contiguous().t().sum(1), x.sum(1)));
}

TEST(PortableOperators, SoftmaxIsTheLibrarysUpToRounding) {
  for (const int64_t dim : {0, 1, 2, -1}) {
    expect_as_the_library([&](const Tensors& in) { return in[0].softmax(dim); }, {random({3, 37, 5}, 1) * 3});
    expect_as_the_library([&](const Tensors& in) { return in[0].log_softmax(dim); },
                          {random({3, 37, 5}, 1) * 3});
  }
  const PortableOperators portable;
  EXPECT_TRUE(torch::ones({4, 3}).log_softmax(1).allclose(torch::full({4, 3}, -std::log(3.0))));
  const float infinity = INFINITY;
  const torch::Tensor masked = torch::tensor({1.0F, -infinity, 1.0F});
  EXPECT_TRUE(torch::equal(masked.softmax(0), torch::tensor({0.5F, 0.0F, 0.5F})));
  EXPECT_TRUE(torch::tensor({NAN, 1.0F}).softmax(0).isnan().all().item<bool>());
}

TEST(PortableOperators, ProductsAreTheLibrarysUpToRounding) {
  const Function linear = [](const Tensors& in) { return torch::linear(in[0], in[1], in[2]); };
  expect_as_the_library(linear, {random({7, 19}, 1), random({33, 19}, 2), random({33}, 3)});
  expect_as_the_library(linear, {random({4, 5, 64}, 1), random({48, 64}, 2), random({48}, 3)});
  expect_as_the_library(linear, {random({64, 5}, 1).t(), random({10, 64}, 2), random({10}, 3)});
  expect_as_the_library(linear,
                        {random({64, 3, 5}, 1).transpose(0, 2), random({10, 64}, 2), random({10}, 3)});
  const Function matmul = [](const Tensors& in) { return in[0].matmul(in[1]); };
  expect_as_the_library(matmul, {random({7, 19}, 1), random({19, 33}, 2)});
  expect_as_the_library(matmul, {random({7, 38}, 1).slice(1, 0, 38, 2), random({19, 1}, 2)});
  expect_as_the_library(matmul, {random({1, 19}, 1).t(), random({1, 33}, 2)});
  expect_as_the_library(matmul, {random({7, 19}, 1), random({19}, 2)});
  expect_as_the_library(matmul, {random({19}, 1), random({19}, 2)});
  expect_as_the_library(matmul, {random({4, 7, 19}, 1), random({4, 19, 5}, 2)});
  expect_as_the_library([](const Tensors& in) { return torch::addmm(in[0], in[1], in[2]); },
                        {random({7, 5}, 1), random({7, 9}, 2), random({9, 5}, 3)});
  expect_as_the_library([](const Tensors& in) { return torch::addmm(in[0], in[1], in[2], 0.5, -2); },
                        {random({5}, 1), random({7, 9}, 2), random({9, 5}, 3)});
}

TEST(PortableOperators, ConvolutionsAreTheLibrarysUpToRounding) {
  for (const int64_t channels : {1, 3, 8})
    for (const int64_t stride : {1, 2}) {
      SCOPED_TRACE(testing::Message() << channels << " channels, stride " << stride);
      expect_as_the_library(
          [&](const Tensors& in) { return torch::conv2d(in[0], in[1], in[2], stride, 1); },
          {random({3, channels, 9, 12}, 1), random({5, channels, 4, 4}, 2), random({5}, 3)});
      for (const int64_t more : {int64_t{0}, stride - 1})
        expect_as_the_library(
            [&](const Tensors& in) {
              return torch::conv_transpose2d(in[0], in[1], in[2], stride, 1, {more, 0});
            },
            {random({3, 5, 4, 6}, 1), random({5, channels, 4, 4}, 2), random({channels}, 3)});
    }
  expect_as_the_library(
      [](const Tensors& in) {
        return torch::conv2d(in[0], in[1], {}, {2, 1}, {1, 0});
      },
      {random({2, 3, 7, 6}, 1), random({4, 3, 3, 2}, 2)});
  expect_as_the_library([](const Tensors& in) { return torch::conv1d(in[0], in[1], in[2], 1, 4, 2); },
                        {random({3, 4, 11}, 1), random({5, 4, 3}, 2), random({5}, 3)});
  expect_as_the_library([](const Tensors& in) { return torch::conv3d(in[0], in[1], in[2], 2, 1); },
                        {random({2, 3, 5, 6, 7}, 1), random({4, 3, 4, 4, 4}, 2), random({4}, 3)});
  expect_as_the_library([](const Tensors& in) { return torch::conv_transpose3d(in[0], in[1], in[2], 2, 1); },
                        {random({2, 4, 2, 3, 3}, 1), random({4, 3, 4, 4, 4}, 2), random({3}, 3)});
}

TEST(PortableOperators, OneSampleHasTheSameBitsAloneAndAmongOthers) {
  const PortableOperators portable;
  const torch::Tensor x = random({33, 2, 11, 11}, 1), weight = random({6, 2, 4, 4}, 2), bias = random({6}, 3);
  const torch::Tensor together = torch::conv2d(x, weight, bias, 2, 1);
  for (const int64_t row : {0, 5, 32})
    EXPECT_TRUE(
        torch::equal(torch::conv2d(x.narrow(0, row, 1), weight, bias, 2, 1), together.narrow(0, row, 1)));
}

TEST(PortableOperators, EmbeddingsAndArithmeticAreTheLibrarysUpToRounding) {
  const torch::Tensor places = torch::tensor({3, 0, 3, 1, 3, 0}).view({2, 3});
  expect_as_the_library([&](const Tensors& in) { return torch::embedding(in[0], places); },
                        {random({5, 7}, 1)});
  const Tensors three = {random({4, 5}, 1), random({4, 5}, 2), random({4, 5}, 3) + 5};
  expect_as_the_library([](const Tensors& in) { return torch::addcmul(in[0], in[1], in[2], 0.3); }, three);
  expect_as_the_library([](const Tensors& in) { return torch::addcdiv(in[0], in[1], in[2], 0.3); }, three);
  expect_as_the_library([](const Tensors& in) { return torch::lerp(in[0], in[1], 0.3) + in[2]; }, three);
  expect_as_the_library([](const Tensors& in) { return torch::add(in[0], in[1], 0.3).sub(in[2], 0.7); },
                        three);
}

TEST(PortableOperators, OperationsRoundEach) {
  const PortableOperators portable;
  const torch::Tensor a = random({4, 37}, 1), b = random({4, 37}, 2), c = random({4, 37}, 3);
  EXPECT_TRUE(torch::equal(torch::add(a, b, 0.3), a + b * 0.3));
  EXPECT_TRUE(torch::equal(a.clone().sub_(b, 0.3), a - b * 0.3));
  EXPECT_TRUE(torch::equal(a.clone().addcmul_(b, c, 0.3), a + b * c * 0.3));
  EXPECT_TRUE(torch::equal(a.clone().addcdiv_(b, c, 0.3), a + b / c * 0.3));
  EXPECT_TRUE(torch::equal(a.clone().lerp_(b, 0.3), a + (b - a) * 0.3));
}

TEST(PortableOperators, NormalNumbersDoNotDependOnHowManyAreDrawn) {
  const PortableOperators portable;
  const torch::Tensor many = random({4, 300}, 9).flatten();
  EXPECT_TRUE(torch::equal(random({7}, 9), many.narrow(0, 0, 7)));
  EXPECT_TRUE(torch::equal(random({257}, 9), many.narrow(0, 0, 257)));
  EXPECT_NEAR(many.std().item<float>(), 1, 0.1);
}

TEST(PortableOperators, AreNamed) {
  EXPECT_FALSE(is_portable_operator("aten::exp"));
  const PortableOperators portable;
  EXPECT_TRUE(is_portable_operator("aten::exp"));
  EXPECT_TRUE(is_portable_operator("aten::sum.dim_IntList"));
  EXPECT_FALSE(is_portable_operator("aten::relu"));
}

}  // namespace
}  // namespace elbo
