#include "elbo/optim/optimizer.h"

#include <gtest/gtest.h>
#include <torch/optim.h>
#include <torch/types.h>

#include <cmath>

#include "elbo/base/random.h"
#include "elbo/parallel/flat_parameters.h"
#include "gpu_stand_in/stand_in.h"

namespace elbo {
namespace {

constexpr int64_t elements = 3 * block_elements;

// Compares ten updates with those of LibTorch's optimiser.
void expect_as_libtorch(
    const OptimizerOptions& options,
    const std::function<std::unique_ptr<torch::optim::Optimizer>(const torch::Tensor&)>& make) {
  RandomGenerator noise(Key(1));
  const torch::Tensor start = noise.normal({elements});
  torch::Tensor ours = start.clone(), theirs = start.clone().requires_grad_();
  Optimizer optimizer(options, {ours});
  const auto reference = make(theirs);
  Workers workers(2);
  for (int64_t update = 1; update <= 10; ++update) {
    const torch::Tensor gradient = noise.normal({elements});
    theirs.mutable_grad() = gradient.clone();
    reference->step();
    optimizer.step({ours}, {gradient.clone()}, options.lr, 1.0, update, workers);
  }
  EXPECT_TRUE(torch::allclose(ours, theirs.detach(), 1e-5, 1e-6)) << options.name;
}

TEST(Optimizer, AdamAgreesWithLibTorch) {
  expect_as_libtorch({.name = "adam", .lr = 0.01, .weight_decay = 0.1}, [](const torch::Tensor& x) {
    return std::make_unique<torch::optim::Adam>(std::vector{x},
                                                torch::optim::AdamOptions(0.01).weight_decay(0.1));
  });
}

TEST(Optimizer, AdamWAgreesWithLibTorch) {
  expect_as_libtorch({.name = "adamw", .lr = 0.01, .weight_decay = 0.1}, [](const torch::Tensor& x) {
    return std::make_unique<torch::optim::AdamW>(std::vector{x},
                                                 torch::optim::AdamWOptions(0.01).weight_decay(0.1));
  });
}

TEST(Optimizer, RmspropAgreesWithLibTorch) {
  expect_as_libtorch({.name = "rmsprop", .lr = 0.01, .momentum = 0.9}, [](const torch::Tensor& x) {
    return std::make_unique<torch::optim::RMSprop>(std::vector{x},
                                                   torch::optim::RMSpropOptions(0.01).momentum(0.9));
  });
}

TEST(Optimizer, SgdWithMomentumAgreesWithLibTorch) {
  expect_as_libtorch({.name = "sgd", .lr = 0.01, .weight_decay = 0.1, .momentum = 0.9},
                     [](const torch::Tensor& x) {
                       return std::make_unique<torch::optim::SGD>(
                           std::vector{x}, torch::optim::SGDOptions(0.01).momentum(0.9).weight_decay(0.1));
                     });
}

TEST(Optimizer, AdamaxFollowsKingmaAndBa) {
  // Algorithm 2 of Kingma & Ba 2015 for one element; as in PyTorch, epsilon is added to |g|.
  const OptimizerOptions options{.name = "adamax", .lr = 0.01};
  torch::Tensor x = torch::ones({block_elements});
  Optimizer optimizer(options, {x});
  Workers workers(1);
  double expected = 1, m = 0, u = 0;
  for (int64_t update = 1; update <= 5; ++update) {
    const double g = std::sin(static_cast<double>(update));
    m = 0.9 * m + 0.1 * g;
    u = std::max(0.999 * u, std::abs(g) + 1e-8);
    expected -= 0.01 / (1 - std::pow(0.9, static_cast<double>(update))) * m / u;
    optimizer.step({x}, {torch::full({block_elements}, g)}, 0.01, 1.0, update, workers);
  }
  EXPECT_NEAR(x[0].item<double>(), expected, 1e-6);
}

TEST(Optimizer, AdamOnAGpuHasTheBitsOfCpus) {
  for (const char* name : {"adam", "adamw"}) {
    const OptimizerOptions options{.name = name, .lr = 0.01, .weight_decay = 0.1};
    RandomGenerator noise(Key(1));
    const torch::Tensor start = noise.normal({elements});
    torch::Tensor on_cpu = start.clone(), on_gpu = start.clone();
    Optimizer of_cpu(options, {on_cpu}), of_gpu(options, {on_gpu});
    Workers alone(1);
    for (int64_t update = 1; update <= 5; ++update) {
      const torch::Tensor gradient = noise.normal({elements});
      of_cpu.step({on_cpu}, {gradient.clone()}, options.lr, 1.0, update, alone);
      const GpuStandIn gpu;
      of_gpu.step({on_gpu}, {gradient.clone()}, options.lr, 1.0, update, alone);
    }
    EXPECT_TRUE(torch::equal(on_gpu, on_cpu)) << name;
    EXPECT_TRUE(torch::equal(of_gpu.states()[1].second, of_cpu.states()[1].second)) << name;
  }
}

TEST(Optimizer, HasTheSameBitsForEverySharding) {
  for (const char* name : {"adam", "adamw", "adamax", "rmsprop", "sgd"}) {
    const OptimizerOptions options{.name = name, .lr = 0.01, .weight_decay = 0.01, .momentum = 0.9};
    RandomGenerator noise(Key(2));
    const torch::Tensor start = noise.normal({elements}), gradient = noise.normal({elements});
    const auto update = [&](int threads, const std::vector<int64_t>& cuts) {
      torch::Tensor x = start.clone();
      Workers workers(threads);
      const auto pieces = [&](const torch::Tensor& whole) {
        std::vector<torch::Tensor> result;
        for (size_t i = 0; i + 1 < cuts.size(); ++i)
          result.push_back(whole.narrow(0, cuts[i], cuts[i + 1] - cuts[i]));
        return result;
      };
      Optimizer optimizer(options, pieces(x));
      for (int64_t n = 1; n <= 3; ++n)
        optimizer.step(pieces(x), pieces(gradient.clone()), 0.01, 0.7, n, workers);
      return x;
    };
    const torch::Tensor whole = update(1, {0, elements});
    EXPECT_TRUE(torch::equal(whole, update(3, {0, elements}))) << name;
    EXPECT_TRUE(torch::equal(whole, update(2, {0, block_elements, elements}))) << name;
  }
}

TEST(LearningRate, FollowsItsSchedule) {
  OptimizerOptions o{.lr = 0.1};
  EXPECT_EQ(learning_rate(o, 1000, 2000), 0.1);
  o.warmup_steps = 10;
  EXPECT_NEAR(learning_rate(o, 0, 2000), 0.01, 1e-12);
  EXPECT_NEAR(learning_rate(o, 9, 2000), 0.1, 1e-12);
  o = {.lr = 0.1, .schedule = "milestones", .milestones = {10, 20}, .gamma = 0.5};
  EXPECT_NEAR(learning_rate(o, 9, 100), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate(o, 10, 100), 0.05, 1e-12);
  EXPECT_NEAR(learning_rate(o, 20, 100), 0.025, 1e-12);
  o = {.lr = 0.1, .schedule = "step", .schedule_steps = 10, .gamma = 0.5};
  EXPECT_NEAR(learning_rate(o, 25, 100), 0.025, 1e-12);
  o = {.lr = 0.1, .schedule = "cosine", .min_lr = 0.02};
  EXPECT_NEAR(learning_rate(o, 0, 100), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate(o, 50, 100), 0.06, 1e-3);
  EXPECT_NEAR(learning_rate(o, 100, 100), 0.02, 1e-12);
  o = {.lr = 1, .schedule = "range", .min_lr = 1e-6};
  EXPECT_NEAR(learning_rate(o, 0, 101), 1e-6, 1e-18);
  EXPECT_NEAR(learning_rate(o, 50, 101), 1e-3, 1e-12);
  EXPECT_NEAR(learning_rate(o, 100, 101), 1, 1e-12);
}

TEST(LearningRate, OneCycleIsThatOfPyTorch) {
  // torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1, total_steps=10).
  const std::vector<double> expected{0.04,     0.52,     1,        0.950485, 0.811746,
                                     0.611262, 0.388742, 0.188258, 0.049519, 4e-6};
  const OptimizerOptions options{.lr = 1, .schedule = "one_cycle"};
  for (size_t step = 0; step < expected.size(); ++step)
    EXPECT_NEAR(learning_rate(options, static_cast<int64_t>(step), 10), expected[step], 1e-6) << step;
}

TEST(Optimizer, TheAverageFollowsTheParameters) {
  torch::Tensor x = torch::ones({block_elements});
  Optimizer optimizer({.name = "sgd", .lr = 1, .ema = 0.75}, {x});
  Workers workers(1);
  optimizer.step({x}, {torch::full({block_elements}, 2.0)}, 1, 1.0, 1, workers);
  EXPECT_EQ(x[5].item<float>(), -1);
  EXPECT_EQ(optimizer.average()[5].item<float>(), 0.5);
  optimizer.step({x}, {torch::zeros({block_elements})}, 1, 1.0, 2, workers);
  EXPECT_EQ(optimizer.average()[5].item<float>(), 0.125);
}

}  // namespace
}  // namespace elbo
