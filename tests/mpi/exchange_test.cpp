// What leaves report besides gradients, summed over workers and ranks to the bits of one worker of one rank.
#include "parallel/exchange.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "base/random.h"
#include "comm/self.h"
#include "nn/layers.h"
#include "ranks.h"

namespace elbo {
namespace {

class OneLayer : public torch::nn::Module {
 public:
  explicit OneLayer(Noise& init) { register_module("layer", std::make_shared<Linear>(2, 2, init)); }
};

torch::Tensor statistics_of(int64_t leaf, int64_t step) {
  Noise noise(Key(1).with(static_cast<uint64_t>(leaf)).with(static_cast<uint64_t>(step)));
  return noise.normal({7});
}

// Two steps of `leaves` leaves, by so many workers.
std::vector<StepSums> sums(Communicator& comm, int threads, int64_t leaves) {
  Noise init(Key(2));
  OneLayer model(init);
  const std::vector<Phase> phases{{"model", {}}};
  Arena arena(model, phases);
  Workers workers(threads);
  Exchange exchange(comm, comm, workers, arena, phases.size(), leaves, true);
  std::vector<StepSums> steps;
  for (int64_t step = 0; step < 2; ++step) {
    exchange.begin(0);
    workers.run([&](int worker) {
      std::vector<torch::Tensor> parameters = model.parameters();
      for (torch::Tensor& parameter : parameters) parameter = parameter.detach();
      const LeafRange own = exchange.leaves_of_worker(worker);
      for (int64_t leaf = own.first; leaf < own.end; ++leaf)
        exchange.add(0, worker, leaf, parameters, {"loss"}, {static_cast<double>(leaf)},
                     statistics_of(leaf, step));
    });
    steps.push_back(exchange.finish(0, {}));
  }
  return steps;
}

TEST(Exchange, StatisticsAreTheSumOverAllLeavesOnEveryRank) {
  // Powers of two and not; fewer leaves than ranks.
  for (const int64_t leaves : {1, 3, 4, 7}) {
    const auto alone = make_self_communicator();
    const std::vector<StepSums> expected = sums(*alone, 1, leaves);
    for (const int threads : {1, 2}) {
      const std::vector<StepSums> together = sums(world(), threads, leaves);
      for (int64_t step = 0; step < 2; ++step) {
        const auto at = static_cast<size_t>(step);
        EXPECT_TRUE(torch::equal(together[at].statistics, expected[at].statistics));
        torch::Tensor plain = torch::zeros({7});
        for (int64_t leaf = 0; leaf < leaves; ++leaf) plain += statistics_of(leaf, step);
        EXPECT_TRUE(torch::allclose(together[at].statistics, plain, 1e-5, 1e-5));
        EXPECT_EQ(together[at].scalars.front(), static_cast<double>(leaves * (leaves - 1)) / 2);
      }
    }
  }
}

}  // namespace
}  // namespace elbo
