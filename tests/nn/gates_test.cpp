#include "elbo/nn/gates.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <functional>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/random.h"
#include "elbo/nn/kernels.h"

namespace elbo {
namespace {

using Gates = std::function<torch::Tensor(const std::vector<torch::Tensor>&)>;

torch::Tensor random(torch::IntArrayRef sizes, uint64_t seed) {
  RandomGenerator generator(Key(seed), torch::kCPU);
  return generator.normal(sizes);
}

// The output and the gradients of the inputs, for a gradient of the output that differs between elements.
std::vector<torch::Tensor> run(const Gates& gates, const std::vector<torch::Tensor>& inputs) {
  std::vector<torch::Tensor> leaves;
  for (const torch::Tensor& input : inputs) leaves.push_back(input.detach().clone().requires_grad_());
  const torch::Tensor y = gates(leaves);
  y.backward(torch::arange(y.numel(), y.options()).sin().view(y.sizes()));
  std::vector<torch::Tensor> results = {y.detach()};
  for (const torch::Tensor& leaf : leaves) results.push_back(leaf.grad());
  return results;
}

// The formulas in LibTorch's float64 are the reference.
void expect_as_the_formulas(const Gates& gates, const std::vector<torch::Tensor>& inputs) {
  std::vector<torch::Tensor> precise;
  for (const torch::Tensor& input : inputs) precise.push_back(input.to(torch::kFloat64));
  const std::vector<torch::Tensor> expected = run(gates, precise);
  use_kernels(Kernels::portable);
  const std::vector<torch::Tensor> found = run(gates, inputs);
  use_kernels(Kernels::library);
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].sizes(), expected[i].sizes()) << i;
    EXPECT_TRUE(torch::allclose(found[i].to(torch::kFloat64), expected[i], 1e-4, 1e-4)) << i;
  }
}

TEST(Gates, OnePassIsTheFormulasUpToRounding) {
  expect_as_the_formulas([](const auto& in) { return gru_step(in[0], in[1], in[2]); },
                         {random({4, 21}, 1), random({4, 21}, 2), random({4, 7}, 3)});
  expect_as_the_formulas([](const auto& in) { return lstm_step(in[0], in[1], in[2]); },
                         {random({4, 28}, 1), random({4, 28}, 2), random({4, 14}, 3)});
}

// One step after another, where the sequence is not one function.
torch::Tensor unrolled(const Gates& step, const std::vector<torch::Tensor>& in) {
  torch::Tensor state = in[3];
  std::vector<torch::Tensor> outputs;
  for (const torch::Tensor& from_input : in[0].unbind(0)) {
    const torch::Tensor from_hidden = torch::addmm(in[2], state.narrow(1, 0, 7), in[1].t());
    state = step({from_input, from_hidden, state});
    outputs.push_back(state.narrow(1, 0, 7));
  }
  return torch::stack(outputs);
}

TEST(Gates, ASequenceIsItsStepsUpToRounding) {
  const Gates gru = [](const auto& in) { return gru_step(in[0], in[1], in[2]); };
  const Gates lstm = [](const auto& in) { return lstm_step(in[0], in[1], in[2]); };
  expect_as_the_formulas(
      [&](const auto& in) {
        return has_sequence_kernel(in[0]) ? gru_sequence(in[0], in[1], in[2], in[3]) : unrolled(gru, in);
      },
      {random({5, 4, 21}, 1), random({21, 7}, 2) * 0.3, random({21}, 3), random({4, 7}, 4)});
  expect_as_the_formulas(
      [&](const auto& in) {
        return has_sequence_kernel(in[0]) ? lstm_sequence(in[0], in[1], in[2], in[3]) : unrolled(lstm, in);
      },
      {random({5, 4, 28}, 1), random({28, 7}, 2) * 0.3, random({28}, 3), random({4, 14}, 4)});
}

TEST(Gates, RefuseAGradientOfTheirGradient) {
  use_kernels(Kernels::portable);
  const torch::Tensor gates = random({4, 28}, 1).requires_grad_();
  const torch::Tensor sum = lstm_step(gates, random({4, 28}, 2), random({4, 14}, 3)).sum();
  EXPECT_THROW(torch::autograd::grad({sum}, {gates}, {}, /*retain_graph=*/true, /*create_graph=*/true),
               Error);
  EXPECT_TRUE(torch::autograd::grad({sum}, {gates})[0].defined());
  use_kernels(Kernels::library);
}

}  // namespace
}  // namespace elbo
