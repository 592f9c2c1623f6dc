// One step and many, on 1, 2, 3 and 4 ranks: the same parameters as one rank alone, with data from a
// function.
#include "elbo/train/data_parallel_step.h"

#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "elbo/comm/self.h"
#include "elbo/models/registry.h"
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
  Checkpoint checkpoint;
  first.step->collect(checkpoint);
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
  Checkpoint checkpoint;
  trained.step->collect(checkpoint);
  checkpoint.optimizer.pop_back();
  EXPECT_THROW(trained.step->load_optimizer(checkpoint, "the test"), Error);
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

}  // namespace
}  // namespace elbo
