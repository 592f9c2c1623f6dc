// What leaves report and their gradients, summed over workers and ranks to the bits of one worker of one
// rank.
#include "parallel/exchange.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "base/error.h"
#include "base/random.h"
#include "comm/self.h"
#include "nn/layers.h"
#include "ranks.h"

namespace elbo {
namespace {

constexpr int64_t width = 256;

// Enough parameters for several buckets. Every other leaf leaves the middle layer out.
class ThreeLayers : public torch::nn::Module {
 public:
  explicit ThreeLayers(Noise& init) {
    for (const char* name : {"first", "middle", "last"})
      layers_.push_back(register_module(name, std::make_shared<Linear>(width, width, init)));
  }
  torch::Tensor loss(int64_t leaf, int64_t step) {
    Noise noise(Key(1).with(static_cast<uint64_t>(leaf)).with(static_cast<uint64_t>(step)));
    torch::Tensor x = noise.normal({2, width});
    for (size_t i = 0; i < layers_.size(); ++i)
      if (i != 1 || leaf % 2 == 0) x = torch::tanh(layers_[i]->forward(x));
    return x.square().sum();
  }

 private:
  std::vector<std::shared_ptr<Linear>> layers_;
};

torch::Tensor statistics_of(int64_t leaf, int64_t step) {
  Noise noise(Key(3).with(static_cast<uint64_t>(leaf)).with(static_cast<uint64_t>(step)));
  return noise.normal({7});
}

struct Step {
  StepSums sums;
  torch::Tensor gradient;  // of the whole phase
};

struct World {
  Communicator& comm;
  int threads;
  int64_t bucket_bytes;
  bool exact = true;
};

// Two steps of `leaves` leaves.
std::vector<Step> steps_in(const World& world, int64_t leaves) {
  std::vector<std::shared_ptr<ThreeLayers>> models;
  std::vector<std::vector<torch::Tensor>> replicas;
  const std::vector<Phase> phases{{"model", {}}};
  std::unique_ptr<Arena> arena;
  for (int worker = 0; worker < world.threads; ++worker) {
    Noise init(Key(2));
    models.push_back(std::make_shared<ThreeLayers>(init));
    if (!arena) arena = std::make_unique<Arena>(*models.back(), phases);
    arena->bind(*models.back());
    replicas.push_back(models.back()->parameters());
  }
  Workers workers(world.threads);
  Exchange exchange(world.comm, world.comm, workers, *arena, replicas, phases.size(),
                    {.leaves = leaves, .exact = world.exact, .bucket_bytes = world.bucket_bytes});
  std::vector<Step> steps;
  for (int64_t step = 0; step < 2; ++step) {
    exchange.compute(0, [&](int worker, int64_t leaf) -> LeafReport {
      const torch::Tensor loss = models[static_cast<size_t>(worker)]->loss(leaf, step);
      loss.backward();
      return {{"leaf"}, {static_cast<double>(leaf)}, statistics_of(leaf, step)};
    });
    StepSums sums = exchange.finish(0, {static_cast<double>(world.comm.rank())});
    steps.push_back({std::move(sums), exchange.gather(0, torch::cat(exchange.gradient(0))).clone()});
  }
  for (const auto& replica : replicas)
    for (const torch::Tensor& parameter : replica) EXPECT_FALSE(parameter.grad().defined());
  return steps;
}

// The same gradient by LibTorch alone, laid out as in the arena, in double precision.
torch::Tensor plain_gradient(int64_t leaves, int64_t step) {
  Noise init(Key(2));
  ThreeLayers model(init);
  const std::vector<Phase> phases{{"model", {}}};
  const Arena arena(model, phases);
  torch::Tensor sum = torch::zeros({arena.range(0).size()}, torch::kFloat64);
  for (int64_t leaf = 0; leaf < leaves; ++leaf) {
    model.zero_grad();
    model.loss(leaf, step).backward();
    const std::vector<torch::Tensor> parameters = model.parameters();
    for (size_t i = 0; i < parameters.size(); ++i)
      if (parameters[i].grad().defined()) Arena::view(sum, arena.items()[i]).add_(parameters[i].grad());
  }
  return sum;
}

constexpr int64_t all_at_once = 0, small_buckets = 1;

// Passes everything on and counts what was begun.
class Counting final : public Communicator {
 public:
  explicit Counting(Communicator& world) : world_(world) {}
  int rank() const override { return world_.rank(); }
  int size() const override { return world_.size(); }
  std::unique_ptr<Transfer> start_all_to_all(const torch::Tensor& send, torch::Tensor receive,
                                             const Split& split) override {
    ++begun;
    return world_.start_all_to_all(send, std::move(receive), split);
  }
  std::unique_ptr<Transfer> start_all_gather(torch::Tensor all, const std::vector<int64_t>& counts) override {
    return world_.start_all_gather(std::move(all), counts);
  }
  std::unique_ptr<Transfer> start_all_reduce(torch::Tensor tensor, ReduceOp op) override {
    return world_.start_all_reduce(std::move(tensor), op);
  }
  void broadcast(torch::Tensor& tensor, int root) override { world_.broadcast(tensor, root); }
  void barrier() override { world_.barrier(); }

  int64_t begun = 0;

 private:
  Communicator& world_;
};

// One leaf on each rank.
TEST(Exchange, TheFirstBucketsTravelBeforeTheBackwardPassIsOver) {
  if (world().size() == 1) return;  // nothing travels
  for (const int64_t bucket_bytes : {all_at_once, small_buckets}) {
    Noise init(Key(2));
    ThreeLayers model(init);
    Arena arena(model, {{"model", {}}});
    Workers workers(1);
    Counting counting(world());
    Exchange exchange(world(), counting, workers, arena, {model.parameters()}, 1,
                      {.leaves = world().size(), .bucket_bytes = bucket_bytes});
    int64_t begun = -1;
    exchange.compute(0, [&](int, int64_t leaf) -> LeafReport {
      model.loss(leaf, 0).backward();
      begun = counting.begun;
      return {{"leaf"}, {1.0}, {}};
    });
    const auto buckets = static_cast<int64_t>(exchange.buckets(0).count());
    EXPECT_EQ(buckets > 1, bucket_bytes == small_buckets);
    EXPECT_LE(begun, buckets - 1);
    // That a leaf leaves the middle layer out is known only in the end.
    if (world().rank() % 2 == 0) {
      EXPECT_EQ(begun, buckets - 1);
      EXPECT_EQ(exchange.overlapped_seconds() > 0, buckets > 1);
    }
    exchange.finish(0, {});
    EXPECT_EQ(counting.begun, buckets);
  }
}

TEST(Exchange, GradientsStayWhereNoExchangeTakesThem) {
  Noise init(Key(2));
  ThreeLayers model(init);
  Arena arena(model, {{"model", {}}});
  Workers workers(1);
  {
    Exchange exchange(world(), world(), workers, arena, {model.parameters()}, 1,
                      {.leaves = 4, .bucket_bytes = small_buckets});
    model.loss(0, 0).backward();
    for (const torch::Tensor& parameter : model.parameters()) EXPECT_TRUE(parameter.grad().defined());
    model.zero_grad();
  }
  model.loss(0, 0).backward();
  for (const torch::Tensor& parameter : model.parameters()) EXPECT_TRUE(parameter.grad().defined());
}

TEST(Exchange, HasTheSameBitsForAnyRanksWorkersAndBuckets) {
  // Powers of two and not; fewer leaves than ranks.
  for (const int64_t leaves : {1, 3, 4, 7}) {
    const auto alone = make_self_communicator();
    const std::vector<Step> expected = steps_in({*alone, 1, all_at_once}, leaves);
    for (int64_t step = 0; step < 2; ++step)
      EXPECT_TRUE(torch::allclose(expected[static_cast<size_t>(step)].gradient.to(torch::kFloat64),
                                  plain_gradient(leaves, step), 1e-4, 1e-5));
    for (const int threads : {1, 2, 3}) {
      for (const int64_t bucket_bytes : {all_at_once, small_buckets}) {
        for (Communicator* comm : {alone.get(), &world()}) {
          const std::vector<Step> together = steps_in({*comm, threads, bucket_bytes}, leaves);
          for (size_t step = 0; step < 2; ++step) {
            EXPECT_TRUE(torch::equal(together[step].gradient, expected[step].gradient))
                << leaves << " leaves, " << comm->size() << " ranks, " << threads << " workers";
            EXPECT_EQ(together[step].sums.gradient_norm, expected[step].sums.gradient_norm);
          }
        }
      }
    }
  }
}

TEST(Exchange, TheNormIsThatOfTheGradient) {
  const std::vector<Step> steps = steps_in({world(), 2, small_buckets}, 5);
  for (const Step& step : steps)
    EXPECT_NEAR(step.sums.gradient_norm, step.gradient.to(torch::kFloat64).norm().item<double>(), 1e-6);
}

TEST(Exchange, TheLibrarysSumIsTheSumUpToRounding) {
  for (const int64_t bucket_bytes : {all_at_once, small_buckets}) {
    const std::vector<Step> steps = steps_in({world(), 2, bucket_bytes, false}, 5);
    for (size_t step = 0; step < 2; ++step)
      EXPECT_TRUE(torch::allclose(steps[step].gradient.to(torch::kFloat64),
                                  plain_gradient(5, static_cast<int64_t>(step)), 1e-4, 1e-5));
  }
}

TEST(Exchange, StatisticsAreTheSumOverAllLeavesOnEveryRank) {
  for (const int64_t leaves : {1, 3, 4, 7}) {
    const auto alone = make_self_communicator();
    const std::vector<Step> expected = steps_in({*alone, 1, all_at_once}, leaves);
    for (const int threads : {1, 2}) {
      const std::vector<Step> together = steps_in({world(), threads, small_buckets}, leaves);
      for (int64_t step = 0; step < 2; ++step) {
        const auto at = static_cast<size_t>(step);
        EXPECT_TRUE(torch::equal(together[at].sums.statistics, expected[at].sums.statistics));
        torch::Tensor plain = torch::zeros({7});
        for (int64_t leaf = 0; leaf < leaves; ++leaf) plain += statistics_of(leaf, step);
        EXPECT_TRUE(torch::allclose(together[at].sums.statistics, plain, 1e-5, 1e-5));
        EXPECT_EQ(together[at].sums.scalars.front(), static_cast<double>(leaves * (leaves - 1)) / 2);
      }
    }
  }
}

TEST(Exchange, EveryRankHearsWhatTheOthersHaveToSay) {
  const std::vector<Step> steps = steps_in({world(), 1, small_buckets}, 3);
  for (int rank = 0; rank < world().size(); ++rank)
    EXPECT_EQ(steps.back().sums.notices[static_cast<size_t>(rank)],
              std::vector<double>{static_cast<double>(rank)});
}

// A task that fails ends the computation of all workers.
TEST(Exchange, AnErrorOfATaskIsThrown) {
  const auto alone = make_self_communicator();
  Noise init(Key(2));
  ThreeLayers model(init), other(init);
  const std::vector<Phase> phases{{"model", {}}};
  Arena arena(model, phases);
  arena.bind(other);
  Workers workers(2);
  Exchange exchange(*alone, *alone, workers, arena, {model.parameters(), other.parameters()}, 1,
                    {.leaves = 4});
  for (const int failing : {0, 1})
    EXPECT_THROW(exchange.compute(0,
                                  [&](int worker, int64_t leaf) -> LeafReport {
                                    if (worker == failing) fail("leaf {}", leaf);
                                    return {{"leaf"}, {1.0}, {}};
                                  }),
                 Error);
  // Comes out of the backward pass.
  EXPECT_THROW(exchange.compute(0,
                                [&](int worker, int64_t leaf) -> LeafReport {
                                  if (worker == 0)
                                    for (int pass = 0; pass < 2; ++pass) model.loss(leaf, 0).backward();
                                  return {{"leaf"}, {1.0}, {}};
                                }),
               Error);
}

}  // namespace
}  // namespace elbo
