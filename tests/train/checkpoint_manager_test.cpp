#include "elbo/train/checkpoint_manager.h"

#include <gmock/gmock.h>

#include <thread>

#include "elbo/base/error.h"
#include "loop.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class CheckpointManagerTest : public LoopTest {
 protected:
  void save(CheckpointManager& manager, int64_t step, bool is_best = false, bool must_succeed = false) {
    progress_.step = step;
    if (is_best) progress_.best_step = step;
    if (is_best) progress_.best_loss = 1.0;
    manager.save(progress_, is_best, must_succeed, [&] {
      ++collected_;
      Checkpoint checkpoint;
      checkpoint.step = step;
      checkpoint.fingerprint = std::string(64, 'f');
      checkpoint.data = plan_.data;
      checkpoint.parameters = {{"w", torch::ones({2})}};
      return checkpoint;
    });
  }
  Progress progress_;
  int collected_ = 0;
};

TEST_F(CheckpointManagerTest, KeepsTheNewestTheBestAndMultiples) {
  plan_.checkpoint.keep_last = 2;
  plan_.checkpoint.keep_every = 10;
  CheckpointManager manager(plan_, /*is_root=*/true);
  save(manager, 3, /*is_best=*/true);
  for (const int64_t step : {5, 10, 12, 14, 15}) save(manager, step);
  EXPECT_THAT(checkpoint_steps(folder_), ElementsAre(3, 10, 14, 15));
  EXPECT_EQ(fs::read_symlink(folder_ / "checkpoints/best.h5"), "step_000000003.h5");
}

TEST_F(CheckpointManagerTest, WritesAStepOnce) {
  CheckpointManager manager(plan_, true);
  save(manager, 3);
  save(manager, 3, /*is_best=*/true);
  EXPECT_EQ(collected_, 1);
  EXPECT_TRUE(fs::exists(folder_ / "checkpoints/best.h5"));
}

TEST_F(CheckpointManagerTest, CollectsOnEveryRankAndWritesOnTheRoot) {
  CheckpointManager manager(plan_, /*is_root=*/false);
  save(manager, 3);
  EXPECT_EQ(collected_, 1);
  EXPECT_TRUE(checkpoint_steps(folder_).empty());
  EXPECT_FALSE(manager.wants_checkpoint());
}

TEST_F(CheckpointManagerTest, ContinuesWhereACheckpointCannotBeWrittenAndKeepsTheOldOnes) {
  plan_.checkpoint.keep_last = 1;
  CheckpointManager manager(plan_, true);
  save(manager, 3);
  fs::create_directory(checkpoint_path(folder_, 5));  // in the way of the file
  save(manager, 5);
  EXPECT_TRUE(fs::exists(checkpoint_path(folder_, 3)));
  save(manager, 6);
  EXPECT_TRUE(fs::is_regular_file(checkpoint_path(folder_, 6)));
}

TEST_F(CheckpointManagerTest, EndsWithAnErrorWhereTheLastCannotBeWritten) {
  CheckpointManager manager(plan_, true);
  fs::create_directory(checkpoint_path(folder_, 6));
  EXPECT_THROW(save(manager, 6, false, /*must_succeed=*/true), Error);
}

TEST_F(CheckpointManagerTest, AsksForACheckpointByTime) {
  CheckpointManager never(plan_, true);
  EXPECT_FALSE(never.wants_checkpoint());
  plan_.checkpoint.every_minutes = 1e-9;
  CheckpointManager often(plan_, true);
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(often.wants_checkpoint());
}

}  // namespace
}  // namespace elbo
