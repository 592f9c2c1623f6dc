// Reports and gradients summed over workers and ranks have the same bits as on one worker of one rank.
#include "elbo/parallel/gradient_reducer.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "elbo/base/error.h"
#include "elbo/base/random.h"
#include "elbo/comm/self.h"
#include "elbo/nn/layers.h"
#include "ranks.h"

namespace elbo {
namespace {

constexpr int64_t width = 256;

// Enough parameters for several buckets. Odd microbatches skip the middle layer.
class ThreeLayers : public torch::nn::Module {
 public:
  explicit ThreeLayers(RandomGenerator& init) {
    for (const char* name : {"first", "middle", "last"})
      layers_.push_back(register_module(name, std::make_shared<Linear>(width, width, init)));
  }
  torch::Tensor loss(int64_t microbatch, int64_t step) {
    RandomGenerator noise(Key(1).with(static_cast<uint64_t>(microbatch)).with(static_cast<uint64_t>(step)));
    torch::Tensor x = noise.normal({2, width});
    for (size_t i = 0; i < layers_.size(); ++i)
      if (i != 1 || microbatch % 2 == 0) x = torch::tanh(layers_[i]->forward(x));
    return x.square().sum();
  }

 private:
  std::vector<std::shared_ptr<Linear>> layers_;
};

torch::Tensor scalar(double value) { return torch::full({1}, value, torch::kFloat64); }

torch::Tensor statistics_of(int64_t microbatch, int64_t step) {
  RandomGenerator noise(Key(3).with(static_cast<uint64_t>(microbatch)).with(static_cast<uint64_t>(step)));
  return noise.normal({7});
}

struct Step {
  StepSums sums;
  torch::Tensor gradient;  // of the whole phase
};

struct Layout {
  Levels levels;
  int workers;
  int64_t bucket_bytes;
  bool exact = true;
};

// The results of two steps.
std::vector<Step> run_steps(const Layout& layout, int64_t microbatches) {
  std::vector<std::shared_ptr<ThreeLayers>> models;
  std::vector<std::vector<torch::Tensor>> replicas;
  const std::vector<Phase> phases{{"model", {}}};
  std::unique_ptr<FlatParameters> flat_parameters;
  for (int worker = 0; worker < layout.workers; ++worker) {
    RandomGenerator init(Key(2));
    models.push_back(std::make_shared<ThreeLayers>(init));
    if (!flat_parameters) flat_parameters = std::make_unique<FlatParameters>(*models.back(), phases);
    flat_parameters->bind(*models.back());
    replicas.push_back(models.back()->parameters());
  }
  Workers workers(layout.workers);
  GradientReducer reducer(
      layout.levels, layout.levels, workers, *flat_parameters, replicas, phases.size(),
      {.microbatches = microbatches, .exact = layout.exact, .bucket_bytes = layout.bucket_bytes});
  std::vector<Step> steps;
  for (int64_t step = 0; step < 2; ++step) {
    reducer.compute(0, [&](int worker, int64_t microbatch) -> MicrobatchReport {
      const torch::Tensor loss = models[static_cast<size_t>(worker)]->loss(microbatch, step);
      loss.backward();
      return {{"loss"}, scalar(static_cast<double>(microbatch)), statistics_of(microbatch, step)};
    });
    StepSums sums = reducer.finish(0, {static_cast<double>(layout.levels.rank())});
    steps.push_back({std::move(sums), reducer.gather(0, torch::cat(reducer.gradient(0))).clone()});
  }
  for (const auto& replica : replicas)
    for (const torch::Tensor& parameter : replica) EXPECT_FALSE(parameter.grad().defined());
  return steps;
}

// The same gradient computed by LibTorch only, in the layout of the flat parameters, in double precision.
torch::Tensor reference_gradient(int64_t microbatches, int64_t step) {
  RandomGenerator init(Key(2));
  ThreeLayers model(init);
  const std::vector<Phase> phases{{"model", {}}};
  const FlatParameters flat_parameters(model, phases);
  torch::Tensor sum = torch::zeros({flat_parameters.range(0).size()}, torch::kFloat64);
  for (int64_t microbatch = 0; microbatch < microbatches; ++microbatch) {
    model.zero_grad();
    model.loss(microbatch, step).backward();
    const std::vector<torch::Tensor> parameters = model.parameters();
    for (size_t i = 0; i < parameters.size(); ++i)
      if (parameters[i].grad().defined())
        FlatParameters::view(sum, flat_parameters.items()[i]).add_(parameters[i].grad());
  }
  return sum;
}

constexpr int64_t one_bucket = 0, small_buckets = 1;

// Forwards all calls; counts the all-to-alls that were started, and the messages and bytes that this rank
// sends.
class CountingCommunicator final : public Communicator {
 public:
  explicit CountingCommunicator(Communicator& world) : world_(world) { reset(); }
  int rank() const override { return world_.rank(); }
  int size() const override { return world_.size(); }
  std::unique_ptr<Work> start_all_to_all(const torch::Tensor& send, torch::Tensor receive,
                                         const AllToAllCounts& counts) override {
    ++started;
    for (int peer = 0; peer < size(); ++peer) count(peer, counts.send[static_cast<size_t>(peer)], send);
    return world_.start_all_to_all(send, std::move(receive), counts);
  }
  std::unique_ptr<Work> start_all_gather(torch::Tensor all, const std::vector<int64_t>& counts) override {
    for (int peer = 0; peer < size(); ++peer) count(peer, counts[static_cast<size_t>(rank())], all);
    return world_.start_all_gather(std::move(all), counts);
  }
  std::unique_ptr<Work> start_all_reduce(torch::Tensor tensor, ReduceOp op) override {
    return world_.start_all_reduce(std::move(tensor), op);
  }
  void broadcast(torch::Tensor& tensor, int root) override { world_.broadcast(tensor, root); }
  void barrier() override { world_.barrier(); }

  void reset() {
    started = messages = 0;
    bytes_to_.assign(static_cast<size_t>(size()), 0);
  }
  int64_t started = 0, messages = 0;
  int64_t bytes_to(int peer) const { return bytes_to_[static_cast<size_t>(peer)]; }

 private:
  void count(int peer, int64_t elements, const torch::Tensor& of_type) {
    if (peer == rank() || elements == 0) return;
    ++messages;
    bytes_to_[static_cast<size_t>(peer)] += elements * static_cast<int64_t>(of_type.element_size());
  }
  std::vector<int64_t> bytes_to_;  // (ranks)
  Communicator& world_;
};

// One microbatch on each rank.
TEST(GradientReducer, EarlyBucketsAreReducedDuringTheBackwardPass) {
  if (world().size() == 1) return;  // no communication
  for (const int64_t bucket_bytes : {one_bucket, small_buckets}) {
    RandomGenerator init(Key(2));
    ThreeLayers model(init);
    FlatParameters flat_parameters(model, {{"model", {}}});
    Workers workers(1);
    CountingCommunicator counting(world());
    GradientReducer reducer(world(), counting, workers, flat_parameters, {model.parameters()}, 1,
                            {.microbatches = world().size(), .bucket_bytes = bucket_bytes});
    int64_t started = -1;
    reducer.compute(0, [&](int, int64_t microbatch) -> MicrobatchReport {
      model.loss(microbatch, 0).backward();
      started = counting.started;
      return {{"loss"}, scalar(1), {}};
    });
    const auto buckets = static_cast<int64_t>(reducer.buckets(0).count());
    EXPECT_EQ(buckets > 1, bucket_bytes == small_buckets);
    EXPECT_LE(started, buckets - 1);
    // An odd microbatch skips the middle layer, which is known only at the end of the backward pass.
    if (world().rank() % 2 == 0) {
      EXPECT_EQ(started, buckets - 1);
      EXPECT_EQ(reducer.overlapped_seconds() > 0, buckets > 1);
    }
    reducer.finish(0, {});
    EXPECT_EQ(counting.started, buckets);
  }
}

// The ranks as nodes of `of_node` ranks each.
struct Nodes {
  explicit Nodes(int of_node)
      : within(environment().make_group(world(), world().rank() / of_node, 60)),
        across(environment().make_group(world(), world().rank() % of_node, 60)) {}
  Levels levels() const { return {world(), *within, *across}; }
  std::unique_ptr<Communicator> within, across;
};

// The numbers of ranks a node that divide the ranks.
std::vector<int> node_sizes() {
  std::vector<int> sizes;
  for (int size = 1; size <= world().size(); ++size)
    if (world().size() % size == 0) sizes.push_back(size);
  return sizes;
}

TEST(TwoLevels, HaveTheSameBitsAsOneRank) {
  for (const int of_node : node_sizes()) {
    const Nodes nodes(of_node);
    for (const int64_t microbatches : {1, 3, 4, 7, 8}) {
      const auto alone = make_self_communicator();
      const std::vector<Step> expected = run_steps({*alone, 1, one_bucket}, microbatches);
      for (const int threads : {1, 2})
        for (const int64_t bucket_bytes : {one_bucket, small_buckets}) {
          const std::vector<Step> together = run_steps({nodes.levels(), threads, bucket_bytes}, microbatches);
          for (size_t step = 0; step < 2; ++step) {
            EXPECT_TRUE(torch::equal(together[step].gradient, expected[step].gradient))
                << microbatches << " microbatches, nodes of " << of_node << ", " << threads << " workers";
            EXPECT_EQ(together[step].sums.gradient_norm, expected[step].sums.gradient_norm);
            EXPECT_EQ(together[step].sums.scalars, expected[step].sums.scalars);
            EXPECT_TRUE(torch::equal(together[step].sums.statistics, expected[step].sums.statistics));
          }
          for (int rank = 0; rank < world().size(); ++rank)
            EXPECT_EQ(together.back().sums.rank_status[static_cast<size_t>(rank)],
                      std::vector<double>{static_cast<double>(rank)});
        }
    }
  }
}

int64_t sum_over_all(int64_t own) {
  torch::Tensor sum = torch::tensor({own});
  world().all_reduce(sum, ReduceOp::sum);
  return sum.item<int64_t>();
}

// What docs/parallelism.md says: with two nodes of two ranks a rank sends (2 - 1) + (2 - 1) messages a round
// and bucket, not 3, and the bytes between nodes are half.
TEST(TwoLevels, SendFewerMessagesAndBytesBetweenNodes) {
  if (world().size() != 4) return;
  const Nodes nodes(2);
  CountingCommunicator within(*nodes.within), across(*nodes.across), flat(world());
  const auto take_step = [&](const Levels& levels, int64_t microbatches) {
    RandomGenerator init(Key(2));
    ThreeLayers model(init);
    FlatParameters flat_parameters(model, {{"model", {}}});
    Workers workers(1);
    GradientReducer reducer(world(), levels, workers, flat_parameters, {model.parameters()}, 1,
                            {.microbatches = microbatches, .bucket_bytes = small_buckets});
    reducer.compute(0, [&](int, int64_t microbatch) -> MicrobatchReport {
      model.loss(2 * microbatch, 0).backward();
      return {{"loss"}, scalar(1), {}};
    });
    reducer.finish(0, {});
    reducer.start_all_gather(0);
    reducer.await_all_parameters();
    return std::pair{static_cast<int64_t>(reducer.buckets(0).count()), reducer.buckets(0).range().size()};
  };
  const std::vector<int> other_node = world().rank() < 2 ? std::vector{2, 3} : std::vector{0, 1};
  // Of 4 and of 8 microbatches each rank and each node has one subtree, of 12 it has two.
  for (const auto& [microbatches, rounds] : {std::pair{4, 1}, std::pair{8, 1}, std::pair{12, 2}}) {
    for (CountingCommunicator* counting : {&within, &across, &flat}) counting->reset();
    const auto [buckets, elements] = take_step({world(), within, across}, microbatches);
    take_step(flat, microbatches);
    EXPECT_EQ(within.messages, (rounds + 1) * buckets);
    EXPECT_EQ(across.messages, (rounds + 1) * buckets);
    EXPECT_EQ(flat.messages, 3 * (rounds + 1) * buckets);
    const int64_t flat_bytes = flat.bytes_to(other_node.front()) + flat.bytes_to(other_node.back());
    EXPECT_EQ(sum_over_all(across.bytes_to(0) + across.bytes_to(1)), 4 * (rounds + 1) * elements);
    EXPECT_EQ(sum_over_all(flat_bytes), 2 * 4 * (rounds + 1) * elements);
  }
}

TEST(GradientReducer, GradientsStayWhereNoExchangeTakesThem) {
  RandomGenerator init(Key(2));
  ThreeLayers model(init);
  FlatParameters flat_parameters(model, {{"model", {}}});
  Workers workers(1);
  {
    GradientReducer reducer(world(), world(), workers, flat_parameters, {model.parameters()}, 1,
                            {.microbatches = 4, .bucket_bytes = small_buckets});
    model.loss(0, 0).backward();
    for (const torch::Tensor& parameter : model.parameters()) EXPECT_TRUE(parameter.grad().defined());
    model.zero_grad();
  }
  model.loss(0, 0).backward();
  for (const torch::Tensor& parameter : model.parameters()) EXPECT_TRUE(parameter.grad().defined());
}

TEST(GradientReducer, HasTheSameBitsForAnyRanksWorkersAndBuckets) {
  // Powers of two and others; fewer microbatches than ranks.
  for (const int64_t microbatches : {1, 3, 4, 7}) {
    const auto alone = make_self_communicator();
    const std::vector<Step> expected = run_steps({*alone, 1, one_bucket}, microbatches);
    for (int64_t step = 0; step < 2; ++step)
      EXPECT_TRUE(torch::allclose(expected[static_cast<size_t>(step)].gradient.to(torch::kFloat64),
                                  reference_gradient(microbatches, step), 1e-4, 1e-5));
    for (const int threads : {1, 2, 3}) {
      for (const int64_t bucket_bytes : {one_bucket, small_buckets}) {
        for (Communicator* comm : {alone.get(), &world()}) {
          const std::vector<Step> together = run_steps({*comm, threads, bucket_bytes}, microbatches);
          for (size_t step = 0; step < 2; ++step) {
            EXPECT_TRUE(torch::equal(together[step].gradient, expected[step].gradient))
                << microbatches << " microbatches, " << comm->size() << " ranks, " << threads << " workers";
            EXPECT_EQ(together[step].sums.gradient_norm, expected[step].sums.gradient_norm);
          }
        }
      }
    }
  }
}

TEST(GradientReducer, TheNormIsThatOfTheGradient) {
  const std::vector<Step> steps = run_steps({world(), 2, small_buckets}, 5);
  for (const Step& step : steps)
    EXPECT_NEAR(step.sums.gradient_norm, step.gradient.to(torch::kFloat64).norm().item<double>(), 1e-6);
}

TEST(GradientReducer, TheLibrarysAllReduceIsTheSumUpToRounding) {
  for (const int64_t bucket_bytes : {one_bucket, small_buckets}) {
    const std::vector<Step> steps = run_steps({world(), 2, bucket_bytes, false}, 5);
    for (size_t step = 0; step < 2; ++step)
      EXPECT_TRUE(torch::allclose(steps[step].gradient.to(torch::kFloat64),
                                  reference_gradient(5, static_cast<int64_t>(step)), 1e-4, 1e-5));
  }
}

TEST(GradientReducer, StatisticsAreSummedOverAllMicrobatchesOnEveryRank) {
  for (const int64_t microbatches : {1, 3, 4, 7}) {
    const auto alone = make_self_communicator();
    const std::vector<Step> expected = run_steps({*alone, 1, one_bucket}, microbatches);
    for (const int threads : {1, 2}) {
      const std::vector<Step> together = run_steps({world(), threads, small_buckets}, microbatches);
      for (int64_t step = 0; step < 2; ++step) {
        const auto at = static_cast<size_t>(step);
        EXPECT_TRUE(torch::equal(together[at].sums.statistics, expected[at].sums.statistics));
        torch::Tensor plain = torch::zeros({7});
        for (int64_t microbatch = 0; microbatch < microbatches; ++microbatch)
          plain += statistics_of(microbatch, step);
        EXPECT_TRUE(torch::allclose(together[at].sums.statistics, plain, 1e-5, 1e-5));
        EXPECT_EQ(together[at].sums.scalars.front(),
                  static_cast<double>(microbatches * (microbatches - 1)) / 2);
      }
    }
  }
}

TEST(GradientReducer, EveryRankReceivesTheStatusOfAllRanks) {
  const std::vector<Step> steps = run_steps({world(), 1, small_buckets}, 3);
  for (int rank = 0; rank < world().size(); ++rank)
    EXPECT_EQ(steps.back().sums.rank_status[static_cast<size_t>(rank)],
              std::vector<double>{static_cast<double>(rank)});
}

TEST(GradientReducer, ErrorsOfATaskAreRethrown) {
  const auto alone = make_self_communicator();
  RandomGenerator init(Key(2));
  ThreeLayers model(init), other(init);
  const std::vector<Phase> phases{{"model", {}}};
  FlatParameters flat_parameters(model, phases);
  flat_parameters.bind(other);
  Workers workers(2);
  GradientReducer reducer(*alone, *alone, workers, flat_parameters, {model.parameters(), other.parameters()},
                          1, {.microbatches = 4});
  for (const int failing : {0, 1})
    EXPECT_THROW(reducer.compute(0,
                                 [&](int worker, int64_t microbatch) -> MicrobatchReport {
                                   if (worker == failing) fail("microbatch {}", microbatch);
                                   return {{"loss"}, scalar(1), {}};
                                 }),
                 Error);
  // Thrown by the hook during a second backward pass.
  EXPECT_THROW(reducer.compute(0,
                               [&](int worker, int64_t microbatch) -> MicrobatchReport {
                                 if (worker == 0)
                                   for (int pass = 0; pass < 2; ++pass) model.loss(microbatch, 0).backward();
                                 return {{"loss"}, scalar(1), {}};
                               }),
               Error);
}

}  // namespace
}  // namespace elbo
