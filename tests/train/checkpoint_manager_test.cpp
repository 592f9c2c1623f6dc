#include "elbo/train/checkpoint_manager.h"

#include <gmock/gmock.h>

#include <thread>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/parallel/flat_parameters.h"
#include "loop.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

// The second of two ranks, as far as it can be seen here.
class SecondRank final : public Communicator {
 public:
  int rank() const override { return 1; }
  int size() const override { return 2; }
  std::unique_ptr<Work> start_all_to_all(const torch::Tensor&, torch::Tensor,
                                         const AllToAllCounts&) override {
    return nullptr;
  }
  std::unique_ptr<Work> start_all_gather(torch::Tensor, const std::vector<int64_t>&) override {
    return nullptr;
  }
  std::unique_ptr<Work> start_all_reduce(torch::Tensor, ReduceOp) override { return nullptr; }
  void broadcast(torch::Tensor&, int) override {}
  void barrier() override {}
};

class CheckpointManagerTest : public LoopTest {
 protected:
  void save(CheckpointManager& manager, int64_t step, bool is_best = false, bool must_succeed = false) {
    progress_.step = step;
    if (is_best) progress_.best_step = step;
    if (is_best) progress_.best_loss = 1.0;
    manager.save(progress_, is_best, must_succeed, [&] { return collect(OptimizerSnapshot(*comm_, {})); });
  }
  CollectedState collect(OptimizerSnapshot optimizer) {
    ++collected_;
    CollectedState state{.checkpoint = {}, .optimizer = std::move(optimizer)};
    state.rank_times = "rank\n";
    state.checkpoint.step = progress_.step;
    state.checkpoint.data = plan_.data;
    state.checkpoint.parameters = {{"w", parameter_}};
    state.checkpoint.fingerprint = fingerprint(state.checkpoint.parameters);
    return state;
  }
  // Rows of 4 bytes: a piece holds two.
  OptimizerSnapshot states_in_three_pieces() {
    return {*comm_, {{.items = {{"states", {5}, 0, 5}}, .shard = states_, .buckets = &buckets_}}, 8};
  }
  const Buckets buckets_{{0, block_elements}, {0}, {1}, 0, false};
  const torch::Tensor states_ = torch::arange(block_elements, torch::kFloat32);
  Progress progress_;
  torch::Tensor parameter_ = torch::ones({2});
  int collected_ = 0;
};

TEST_F(CheckpointManagerTest, KeepsTheNewestTheBestAndMultiples) {
  plan_.checkpoint.keep_last = 2;
  plan_.checkpoint.keep_every = 10;
  CheckpointManager manager(plan_, *comm_);
  save(manager, 3, /*is_best=*/true);
  for (const int64_t step : {5, 10, 12, 14, 15}) save(manager, step);
  manager.wait_for_writer();
  EXPECT_THAT(checkpoint_steps(folder_), ElementsAre(3, 10, 14, 15));
  EXPECT_EQ(fs::read_symlink(folder_ / "checkpoints/best.h5"), "step_000000003.h5");
}

TEST_F(CheckpointManagerTest, WritesAStepOnce) {
  CheckpointManager manager(plan_, *comm_);
  save(manager, 3);
  save(manager, 3, /*is_best=*/true);
  EXPECT_EQ(collected_, 1);
  EXPECT_TRUE(fs::exists(folder_ / "checkpoints/best.h5"));
}

TEST_F(CheckpointManagerTest, CollectsOnEveryRankAndWritesOnTheRoot) {
  SecondRank second;
  CheckpointManager manager(plan_, second);
  save(manager, 3);
  EXPECT_EQ(collected_, 1);
  EXPECT_TRUE(checkpoint_steps(folder_).empty());
  EXPECT_FALSE(manager.wants_checkpoint());
}

TEST_F(CheckpointManagerTest, ContinuesWhereACheckpointCannotBeWrittenAndKeepsTheOldOnes) {
  plan_.checkpoint.keep_last = 1;
  CheckpointManager manager(plan_, *comm_);
  save(manager, 3);
  fs::create_directory(checkpoint_path(folder_, 5));  // in the way of the file
  save(manager, 5);
  manager.wait_for_writer();
  EXPECT_TRUE(fs::exists(checkpoint_path(folder_, 3)));
  save(manager, 6);
  manager.wait_for_writer();
  EXPECT_TRUE(fs::is_regular_file(checkpoint_path(folder_, 6)));
}

TEST_F(CheckpointManagerTest, WritesTheParametersOfTheStepAlthoughTrainingContinues) {
  CheckpointManager manager(plan_, *comm_);
  save(manager, 3);
  parameter_.fill_(7);
  manager.wait_for_writer();
  EXPECT_TRUE(
      torch::equal(read_checkpoint(checkpoint_path(folder_, 3)).parameters[0].second, torch::ones({2})));
}

TEST_F(CheckpointManagerTest, WritesOptimizerStatesPieceByPieceWhileTrainingContinues) {
  CheckpointManager manager(plan_, *comm_);
  progress_.step = 3;
  manager.save(progress_, false, false, [&] { return collect(states_in_three_pieces()); });
  for (int sent = 1; sent < 3; ++sent) {
    while (!manager.wants_piece()) std::this_thread::yield();
    EXPECT_TRUE(checkpoint_steps(folder_).empty());
    manager.send_piece();
  }
  manager.wait_for_writer();
  EXPECT_FALSE(manager.wants_piece());
  const Checkpoint found = read_checkpoint(checkpoint_path(folder_, 3));
  EXPECT_TRUE(torch::equal(found.optimizer.at(0).second, torch::arange(5, torch::kFloat32)));
}

TEST_F(CheckpointManagerTest, SendsWhatIsMissingWhereItWaits) {
  CheckpointManager manager(plan_, *comm_);
  progress_.step = 3;
  manager.save(progress_, false, /*must_succeed=*/true, [&] { return collect(states_in_three_pieces()); });
  EXPECT_EQ(read_checkpoint(checkpoint_path(folder_, 3)).optimizer.size(), 1);
}

TEST_F(CheckpointManagerTest, LeavesNothingOfACheckpointThatLacksPieces) {
  {
    CheckpointManager manager(plan_, *comm_);
    progress_.step = 3;
    manager.save(progress_, false, false, [&] { return collect(states_in_three_pieces()); });
  }
  EXPECT_TRUE(fs::is_empty(folder_ / "checkpoints"));
}

TEST_F(CheckpointManagerTest, MakesAFolderAgainThatWasDeleted) {
  CheckpointManager manager(plan_, *comm_);
  fs::remove_all(folder_);
  save(manager, 3, false, /*must_succeed=*/true);
  EXPECT_THAT(checkpoint_steps(folder_), ElementsAre(3));
  EXPECT_EQ(read_file(folder_ / "run.ini"), plan_.ini);
  EXPECT_EQ(read_file(folder_ / "ranks.tsv"), "rank\n");
}

TEST_F(CheckpointManagerTest, DoesNotReplaceACheckpointOfAnother) {
  write_file(checkpoint_path(folder_, 3), "of a newer elbo");
  CheckpointManager manager(plan_, *comm_);
  save(manager, 3, false, /*must_succeed=*/true);
  EXPECT_EQ(read_file(checkpoint_path(folder_, 3).string() + ".other"), "of a newer elbo");
  EXPECT_EQ(read_checkpoint(checkpoint_path(folder_, 3)).step, 3);
}

TEST_F(CheckpointManagerTest, LinksToTheBestWhereAKillPreventedIt) {
  {
    CheckpointManager manager(plan_, *comm_);
    save(manager, 3, false, /*must_succeed=*/true);
  }
  plan_.start.step = plan_.start.best_step = 3;
  plan_.start.best_loss = 1.0;
  const CheckpointManager resumed(plan_, *comm_);
  EXPECT_EQ(fs::read_symlink(folder_ / "checkpoints/best.h5"), "step_000000003.h5");
}

TEST_F(CheckpointManagerTest, EndsWithAnErrorWhereTheLastCannotBeWritten) {
  CheckpointManager manager(plan_, *comm_);
  fs::create_directory(checkpoint_path(folder_, 6));
  EXPECT_THROW(save(manager, 6, false, /*must_succeed=*/true), Error);
}

TEST_F(CheckpointManagerTest, AsksForACheckpointByTime) {
  CheckpointManager never(plan_, *comm_);
  EXPECT_FALSE(never.wants_checkpoint());
  plan_.checkpoint.every_minutes = 1e-9;
  CheckpointManager often(plan_, *comm_);
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(often.wants_checkpoint());
}

}  // namespace
}  // namespace elbo
