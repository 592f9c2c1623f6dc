// One step and many, on 1, 2, 3 and 4 ranks: the same parameters as one rank alone, with data from a
// function.
#include "elbo/train/data_parallel_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../models/small_models.h"
#include "elbo/base/error.h"
#include "elbo/comm/self.h"
#include "elbo/models/registry.h"
#include "elbo/nn/layers.h"
#include "elbo/run/broadcast_checkpoint.h"
#include "elbo/train/damage_search.h"
#include "ranks.h"

namespace elbo {
namespace {

constexpr int64_t microbatch_rows = 4, step_microbatches = 6, features = 8;

DataShape shape() { return {.x = {features}, .kind = "tabular", .rows = 100}; }

std::shared_ptr<Model> model(const std::string& name) {
  const std::unique_ptr<ModelSpec> spec = find_model(name);
  OptionTable table;
  spec->bind(table);
  table.set({"model.latent", "3"}, "");
  table.set({"model.likelihood", "gaussian"}, "");
  NetworkOptions network;
  network.hidden = {16};
  RandomGenerator init(Key(7).with("init"));
  return spec->build({shape(), network, name}, init);
}

DataParallelOptions options() {
  return {.batch = microbatch_rows * step_microbatches,
          .microbatch = microbatch_rows,
          .seed = 7,
          .optimizer = {.lr = 1e-2},
          .end_step = 10};
}

Batch data(int64_t step, int64_t index) {
  RandomGenerator noise(
      Key(3).with("rows").with(static_cast<uint64_t>(step)).with(static_cast<uint64_t>(index)));
  return {.x = noise.normal({microbatch_rows, features}), .label = {}, .ids = torch::arange(microbatch_rows)};
}

RankStatus quiet() { return {}; }

// A step with its own workers and replicas.
struct Trained {
  Trained(Communicator& comm, int count, const std::string& name) : workers(count) {
    std::vector<std::shared_ptr<Model>> replicas;
    for (int worker = 0; worker < count; ++worker) replicas.push_back(model(name));
    step = std::make_unique<DataParallelStep>(comm, comm, workers, replicas, options());
  }
  StepReport take(int64_t first, int64_t end) const {
    StepReport report;
    for (int64_t number = first; number < end; ++number) report = step->take(number, data, quiet);
    return report;
  }
  // On all ranks, with optimizer states that came in pieces.
  Checkpoint checkpoint(int64_t piece_bytes) const {
    Checkpoint collected;
    step->collect(collected);
    const OptimizerSnapshot snapshot = step->snapshot_optimizer(piece_bytes);
    for (const TensorShape& tensor : snapshot.tensors())
      collected.optimizer.emplace_back(tensor.name, torch::empty(tensor.sizes));
    for (size_t piece = 0; piece < snapshot.pieces(); ++piece)
      for (const TensorRows& rows : snapshot.gather(piece)) {
        const torch::Tensor& whole = collected.optimizer[rows.tensor].second;
        whole.narrow(0, rows.first, rows.values.size(0)).copy_(rows.values);
      }
    return *broadcast_checkpoint(step->comm(), collected);
  }
  Workers workers;
  std::unique_ptr<DataParallelStep> step;
};

class DataParallelStepTest : public ::testing::TestWithParam<const char*> {
 protected:
  const std::unique_ptr<Communicator> world_ = environment().make_world(60);
  const std::unique_ptr<Communicator> alone_ = make_self_communicator();
};

TEST_P(DataParallelStepTest, GivesTheSameBitsAsOneRankWithOneWorker) {
  const Trained one(*alone_, 1, GetParam()), many(*world_, 1 + world_->rank() % 2, GetParam());
  const StepReport expected = one.take(0, 5), found = many.take(0, 5);
  EXPECT_EQ(many.step->fingerprint(), one.step->fingerprint());
  EXPECT_EQ(found.loss, expected.loss);
  EXPECT_EQ(found.terms, expected.terms);
  EXPECT_EQ(found.gradient_norm, expected.gradient_norm);
}

TEST_P(DataParallelStepTest, ContinuesFromWhatItCollected) {
  const Trained whole(*alone_, 1, GetParam()), first(*world_, 1, GetParam()), second(*world_, 1, GetParam());
  whole.take(0, 6);
  first.take(0, 3);
  const Checkpoint checkpoint = first.checkpoint(4096);  // a few rows in a piece
  EXPECT_EQ(checkpoint.fingerprint, first.step->fingerprint());
  EXPECT_EQ(checkpoint.world_size, world_->size());
  {
    const torch::NoGradGuard no_grad;
    for (const auto& replica : second.step->replicas()) {
      auto parameters = replica->named_parameters();
      for (const auto& [name, value] : checkpoint.parameters) parameters[name].copy_(value);
      auto buffers = replica->named_buffers();
      for (const auto& [name, value] : checkpoint.buffers) buffers[name].copy_(value);
    }
  }
  second.step->load_optimizer(checkpoint, "the test");
  second.take(3, 6);
  EXPECT_EQ(second.step->fingerprint(), whole.step->fingerprint());
}

TEST_P(DataParallelStepTest, RefusesACheckpointWithoutAnOptimizerState) {
  const Trained trained(*world_, 1, GetParam());
  Checkpoint checkpoint = trained.checkpoint(OptimizerSnapshot::default_piece_bytes);
  checkpoint.optimizer.pop_back();
  EXPECT_THROW(trained.step->load_optimizer(checkpoint, "the test"), Error);
}

TEST_P(DataParallelStepTest, SnapshotsHaveTheSameStatesInPiecesOfAnySize) {
  const Trained trained(*world_, 1, GetParam());
  trained.take(0, 2);
  const Checkpoint whole = trained.checkpoint(OptimizerSnapshot::default_piece_bytes);
  for (const int64_t bytes : {4, 1000, 20000}) {
    const Checkpoint pieces = trained.checkpoint(bytes);
    ASSERT_EQ(pieces.optimizer.size(), whole.optimizer.size());
    for (size_t i = 0; i < whole.optimizer.size(); ++i) {
      EXPECT_EQ(pieces.optimizer[i].first, whole.optimizer[i].first);
      EXPECT_TRUE(torch::equal(pieces.optimizer[i].second, whole.optimizer[i].second));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, DataParallelStepTest, ::testing::Values("vae", "factor_vae"));

TEST(DataParallelStatus, OfEveryRankReachesAllRanks) {
  const std::unique_ptr<Communicator> world = environment().make_world(60);
  const Trained trained(*world, 1, "vae");
  const bool last = world->rank() == world->size() - 1;
  const StepReport report = trained.step->take(0, data, [&] {
    return RankStatus{.stop = last, .save = world->rank() == 0, .data_wait = 1.0 + world->rank()};
  });
  EXPECT_TRUE(report.stop);
  EXPECT_TRUE(report.save);
  EXPECT_EQ(report.data_wait, world->size());
  EXPECT_FALSE(trained.step->take(1, data, quiet).stop);
}

TEST(DataParallelUpdate, IsLeftOutWhereTheLossIsNotFinite) {
  const std::unique_ptr<Communicator> world = environment().make_world(60);
  const Trained trained(*world, 1, "vae");
  const std::string before = trained.step->fingerprint();
  const StepReport report = trained.step->take(
      0,
      [](int64_t step, int64_t index) {
        Batch batch = data(step, index);
        if (index == step_microbatches - 1) batch.x.fill_(std::numeric_limits<float>::infinity());
        return batch;
      },
      quiet);
  EXPECT_FALSE(report.finite);
  EXPECT_EQ(trained.step->fingerprint(), before);
  EXPECT_TRUE(trained.step->finite());
}

// An all-gather that is started arrives when it is awaited and not before: until then its results are in a
// copy.
class LateGathers final : public Communicator {
 public:
  // events: "start" and "await", each with the number of elements, are added in the order in which they
  // happen.
  LateGathers(Communicator& world, std::vector<std::string>& events) : world_(world), events_(events) {}
  int rank() const override { return world_.rank(); }
  int size() const override { return world_.size(); }
  std::unique_ptr<Work> start_all_to_all(const torch::Tensor& send, torch::Tensor receive,
                                         const AllToAllCounts& counts) override {
    return world_.start_all_to_all(send, std::move(receive), counts);
  }
  std::unique_ptr<Work> start_all_gather(torch::Tensor all, const std::vector<int64_t>& counts) override {
    torch::Tensor copy = all.clone();
    world_.all_gather(copy, counts);
    events_.push_back("start " + std::to_string(all.numel()));
    return std::make_unique<Late>(std::move(all), std::move(copy), events_);
  }
  std::unique_ptr<Work> start_all_reduce(torch::Tensor tensor, ReduceOp op) override {
    return world_.start_all_reduce(std::move(tensor), op);
  }
  void broadcast(torch::Tensor& tensor, int root) override { world_.broadcast(tensor, root); }
  void barrier() override { world_.barrier(); }

 private:
  class Late final : public Work {
   public:
    Late(torch::Tensor all, torch::Tensor copy, std::vector<std::string>& events)
        : all_(std::move(all)), copy_(std::move(copy)), events_(events) {}
    bool done() override { return done_; }
    void wait() override {
      if (done_) return;
      done_ = true;
      all_.copy_(copy_);
      events_.push_back("await " + std::to_string(all_.numel()));
    }

   private:
    torch::Tensor all_, copy_;
    std::vector<std::string>& events_;
    bool done_ = false;
  };
  Communicator& world_;
  std::vector<std::string>& events_;
};

// Two layers, of two buckets; each adds its name to the events when it is done.
class TwoLayers final : public Model {
 public:
  explicit TwoLayers(std::vector<std::string>& events) : events_(events) {
    RandomGenerator init(Key(1));
    first_ = register_module("first", std::make_shared<Linear>(features, width, init));
    second_ = register_module("second", std::make_shared<Linear>(width, features, init));
  }
  static constexpr int64_t width = 8 * 1024;

  LossTerms objective(const StepContext&, const Batch& batch, RandomGenerator&) override {
    const torch::Tensor h = first_->forward(batch.x);
    events_.emplace_back("first");
    LossTerms terms;
    terms.loss = second_->forward(h).square().sum(1);
    events_.emplace_back("second");
    return terms;
  }
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    return objective({}, batch, noise);
  }
  std::optional<torch::Tensor> log_weights(const Batch&, int64_t, RandomGenerator&) override { return {}; }
  Latent encode(const Batch& batch) override { return {batch.x}; }
  torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor&, const ElementChoice&) override {
    return z;
  }
  torch::Tensor prior_sample(int64_t n, const torch::Tensor&, RandomGenerator& noise) override {
    return noise.normal({n, features});
  }
  int64_t latent_size() const override { return features; }
  std::shared_ptr<const Likelihood> likelihood() const override { return nullptr; }

 private:
  std::vector<std::string>& events_;
  std::shared_ptr<Linear> first_, second_;
};

TEST(ParametersInTransit, AreAwaitedByTheFirstLayerThatUsesThem) {
  const std::unique_ptr<Communicator> world = environment().make_world(60);
  std::vector<std::string> events;
  LateGathers late(*world, events);
  Workers workers(1);
  DataParallelOptions one_microbatch_each = options();
  one_microbatch_each.batch = microbatch_rows * world->size();
  one_microbatch_each.bucket_bytes = 1;
  DataParallelStep step(*world, late, workers, {std::make_shared<TwoLayers>(events)}, one_microbatch_each);
  const auto noted_data = [&](int64_t number, int64_t index) {
    events.emplace_back("data");
    return data(number, index);
  };
  step.take(0, noted_data, quiet);
  step.take(1, noted_data, quiet);
  if (world->size() == 1) return;  // no all-gather
  ASSERT_EQ(step.buckets(0).count(), 2U);
  const std::string second = std::to_string(step.buckets(0)[0].size());
  const std::string first = std::to_string(step.buckets(0)[1].size());
  EXPECT_THAT(events, testing::ElementsAre("data", "first", "second", "start " + first, "start " + second,
                                           "data", "await " + first, "first", "await " + second, "second",
                                           "start " + first, "start " + second));
  step.fingerprint();
  EXPECT_EQ(events.back(), "await " + second);
}

// Each variant, with layers of several buckets: one that used a parameter without waiting for it would
// compute with the parameters of the step before.
TEST(ParametersInTransit, AreNeverUsedByAnyVariant) {
  const std::unique_ptr<Communicator> world = environment().make_world(60), alone = make_self_communicator();
  for (const auto& spec : all_models()) {
    const std::vector<std::string> kinds = data_names();
    const auto kind = std::ranges::find_if(
        kinds, [&](const std::string& k) { return refusal_of(spec->name(), k).empty(); });
    ASSERT_NE(kind, kinds.end());
    const auto train = [&](Communicator& comm, Communicator& device_comm, int count) {
      Workers workers(count);
      std::vector<std::shared_ptr<Model>> replicas;
      for (int worker = 0; worker < count; ++worker) {
        ModelContext context{.data = small_data(*kind), .network = {}, .name = spec->name()};
        context.data.rows = 100;
        context.network.hidden = {256};
        context.network.channels = {4, 8};
        RandomGenerator init(Key(1));
        replicas.push_back(with_options(spec->name(), {})->build(context, init));
      }
      DataParallelOptions of_variant = options();
      of_variant.bucket_bytes = 1;
      DataParallelStep step(comm, device_comm, workers, replicas, of_variant);
      for (int64_t number = 0; number < 3; ++number)
        step.take(
            number,
            [&](int64_t at, int64_t index) {
              return rows(*kind, microbatch_rows, static_cast<uint64_t>(100 * at + index));
            },
            quiet);
      return step.fingerprint();
    };
    std::vector<std::string> events;
    LateGathers late(*world, events);
    EXPECT_EQ(train(*world, late, 1 + world->rank() % 2), train(*alone, *alone, 1)) << spec->name();
  }
}

TEST(DataParallelMemory, TheRankWithOtherParametersIsNamedOnAllRanks) {
  const std::unique_ptr<Communicator> world = environment().make_world(60);
  const Trained trained(*world, 1, "vae");
  DamageSearch search(*trained.step);
  trained.step->take(0, data, quiet);
  EXPECT_EQ(search.find(0), "");
  trained.step->take(1, data, quiet);
  EXPECT_EQ(search.find(1), "");
  if (world->size() < 3) return;
  if (world->rank() == 1) {
    const torch::NoGradGuard no_grad;
    trained.step->replicas().front()->parameters().front().view({-1})[0] += 1;
  }
  EXPECT_THAT(search.find(1), testing::StartsWith("rank 1 on "));
}

TEST(DataParallelMemory, ACopyThatChangesForAStepIsFound) {
  const std::unique_ptr<Communicator> world = environment().make_world(60);
  const Trained trained(*world, 1, "vae");
  DamageSearch search(*trained.step);
  trained.step->take(0, data, quiet);
  EXPECT_EQ(search.find(0), "");
  const int victim = world->size() - 1;
  if (world->rank() == victim) {
    const torch::NoGradGuard no_grad;
    trained.step->replicas().front()->parameters().front().view({-1})[0] += 1e-6;
  }
  trained.step->take(1, data, quiet);  // the all-gather of this step replaces the copy
  EXPECT_THAT(search.find(1), testing::MatchesRegex(fmt::format(
                                  "the memory of rank {} on .* has changed .*values of .*", victim)));
}

TEST(DataParallelMemory, AValueThatChangesAfterTheLastUpdateIsFound) {
  const std::unique_ptr<Communicator> world = environment().make_world(60);
  const Trained trained(*world, 1, "vae");
  DamageSearch search(*trained.step);
  trained.step->take(0, data, quiet);
  int owner = 0;
  while (trained.step->buckets(0).shard(0, owner).size() == 0) ++owner;
  if (world->rank() == owner) {
    const torch::NoGradGuard no_grad;
    torch::Tensor values = trained.step->values();
    values[trained.step->buckets(0).shard(0, owner).first] += 1e-6;
  }
  EXPECT_THAT(search.find(0), testing::MatchesRegex(fmt::format(
                                  "the memory of rank {} on .* has changed values of .*", owner)));
}

TEST(DataParallelMemory, TheRankThatComputesOtherGradientsIsNamedIfItDidNotAtFirst) {
  const std::unique_ptr<Communicator> world = environment().make_world(60);
  const Trained trained(*world, 1, "vae");
  DamageSearch search(*trained.step);
  trained.step->take(0, data, quiet);
  EXPECT_EQ(search.find(0), "");
  if (world->size() < 3) return;
  if (world->rank() == 2)
    trained.step->replicas().front()->parameters().front().register_hook(
        [](const torch::Tensor& gradient) { return gradient * 1.5; });
  EXPECT_THAT(search.find(0), testing::StartsWith("rank 2 on "));
  DamageSearch later(*trained.step);
  EXPECT_EQ(later.find(0), "") << "a CPU of another kind";
  EXPECT_EQ(later.find(0), "");
}

}  // namespace
}  // namespace elbo
