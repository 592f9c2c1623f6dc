#include "elbo/nn/vrnn_loop.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include "elbo/nn/distributions.h"
#include "elbo/nn/kernels.h"
#include "elbo/nn/networks.h"
#include "elbo/nn/recurrent.h"

namespace elbo {
namespace {

constexpr int64_t rows = 3, time = 6, steps = 4, features = 5, hidden = 7, latent = 2;

torch::Tensor draws(torch::IntArrayRef sizes, uint64_t seed) {
  RandomGenerator generator(Key(seed), torch::kCPU);
  return generator.normal(sizes);
}

// Networks of a VRNN, their loop in LibTorch's operators, and as one function.
struct Networks {
  Networks(const std::string& cell_name, const std::vector<int64_t>& widths,
           const std::string& activation_name)
      : init(Key(5)), activation(find_activation(activation_name)) {
    const auto network = [&](int64_t in, int64_t out) {
      std::vector<int64_t> all = {in};
      all.insert(all.end(), widths.begin(), widths.end());
      all.push_back(out);
      return std::make_shared<Mlp>(all, activation, init);
    };
    encoder = network(features + hidden, 2 * latent);
    see_z = network(latent, hidden);
    cell = make_cell(cell_name, features + hidden, hidden, init);
  }

  VrnnSteps step_by_step(const torch::Tensor& elements, const torch::Tensor& epsilon,
                         torch::Tensor state) const {
    std::vector<torch::Tensor> before, posterior, z, seen_z;
    for (int64_t step = 0; step < steps; ++step) {
      const torch::Tensor element = elements.select(1, step);
      before.push_back(cell->output(state));
      posterior.push_back(encoder->forward(torch::cat({element, before.back()}, 1)));
      const DiagonalNormal q = DiagonalNormal::of(posterior.back());
      z.push_back(epsilon.defined() ? q.reparameterize(epsilon.select(1, step)) : q.mean);
      seen_z.push_back(activation(see_z->forward(z.back())));
      state = cell->step(torch::cat({element, seen_z.back()}, 1), state);
    }
    return {torch::stack(before, 1), torch::stack(posterior, 1), torch::stack(z, 1), torch::stack(seen_z, 1),
            state};
  }
  VrnnSteps in_one(const torch::Tensor& elements, const torch::Tensor& epsilon,
                   const torch::Tensor& state) const {
    return vrnn_loop({encoder->use(), see_z->use(), cell->use_input_layer(), cell->use_hidden_layer(),
                      activation, cell->kernel()},
                     elements, epsilon, state, steps);
  }
  std::vector<torch::Tensor> parameters() const {
    std::vector<torch::Tensor> all;
    for (const torch::nn::Module* module :
         std::initializer_list<torch::nn::Module*>{encoder.get(), see_z.get(), cell.get()})
      for (const torch::Tensor& parameter : module->parameters()) all.push_back(parameter);
    return all;
  }

  RandomGenerator init;
  Activation activation;
  std::shared_ptr<Mlp> encoder, see_z;
  std::shared_ptr<RecurrentCell> cell;
};

// The results, then gradients of a function of all of them.
template <typename Loop>
std::vector<torch::Tensor> results_and_gradients(const Networks& networks, const Loop& loop, bool samples) {
  std::vector<torch::Tensor> leaves = networks.parameters();
  for (torch::Tensor& parameter : leaves) parameter.mutable_grad() = torch::Tensor();
  const torch::Tensor elements = draws({rows, time, features}, 1).requires_grad_();
  const torch::Tensor state = (0.3 * draws({rows, networks.cell->state_size()}, 2)).requires_grad_();
  const VrnnSteps all = loop(elements, samples ? draws({rows, time, latent}, 3) : torch::Tensor(), state);
  torch::Tensor sum = all.state.sin().sum();
  std::vector<torch::Tensor> results = {all.state.detach()};
  for (const torch::Tensor& each : {all.before, all.posterior, all.z, all.seen_z}) {
    results.push_back(each.detach().narrow(1, 0, steps));
    sum = sum + (results.back().cos() * each.narrow(1, 0, steps)).sum();
  }
  sum.backward();
  leaves.insert(leaves.end(), {elements, state});
  for (const torch::Tensor& leaf : leaves) results.push_back(leaf.grad());
  return results;
}

TEST(VrnnLoop, IsItsStepsUpToRounding) {
  use_kernels(Kernels::portable);
  for (const std::string cell : {"gru", "lstm"})
    for (const std::vector<int64_t>& widths : {std::vector<int64_t>{}, std::vector<int64_t>{4, 3}})
      for (const std::string activation : {"relu", "softplus"})
        for (const bool samples : {false, true}) {
          SCOPED_TRACE(testing::Message()
                       << cell << ' ' << widths.size() << ' ' << activation << ' ' << samples);
          const Networks networks(cell, widths, activation);
          const auto found = results_and_gradients(
              networks, [&](const auto&... in) { return networks.in_one(in...); }, samples);
          const auto expected = results_and_gradients(
              networks, [&](const auto&... in) { return networks.step_by_step(in...); }, samples);
          ASSERT_EQ(found.size(), expected.size());
          for (size_t i = 0; i < found.size(); ++i)
            EXPECT_TRUE(torch::allclose(found[i], expected[i], 1e-4, 1e-5)) << i << '\n'
                                                                            << found[i] << expected[i];
        }
  use_kernels(Kernels::library);
}

TEST(VrnnLoop, HasZerosAfterItsSteps) {
  use_kernels(Kernels::portable);
  const Networks networks("gru", {4}, "relu");
  const VrnnSteps all = networks.in_one(draws({rows, time, features}, 1), {}, torch::zeros({rows, hidden}));
  for (const torch::Tensor& each : {all.before, all.posterior, all.z, all.seen_z}) {
    EXPECT_EQ(each.size(1), time);
    EXPECT_TRUE(each.narrow(1, steps, time - steps).eq(0).all().item<bool>());
  }
  use_kernels(Kernels::library);
}

}  // namespace
}  // namespace elbo
