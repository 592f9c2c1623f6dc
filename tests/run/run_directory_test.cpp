#include "elbo/run/run_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "elbo/base/error.h"
#include "elbo/base/file.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

class RunDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "elbo_run_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    plan_.directory = folder_ / "run";
    plan_.ini = "[train]\nsteps = 3\n";
    plan_.end_step = 3;
    config_ = parse_config("[data]\npath = data.h5\n", "test", {{"run.directory", plan_.directory}});
  }
  void TearDown() override { fs::remove_all(folder_); }
  void touch(const std::string& name) const { std::ofstream(fs::path(plan_.directory) / name) << "x"; }

  fs::path folder_;
  RunPlan plan_;
  std::unique_ptr<RunConfig> config_;
};

TEST_F(RunDirectoryTest, IsMadeAndLocked) {
  std::unique_ptr<RunLock> lock;
  prepare_run_directory(plan_, lock);
  EXPECT_EQ(read_file(fs::path(plan_.directory) / "run.ini"), plan_.ini);
  EXPECT_THROW(lock_existing(*config_), Error) << "another process trains there";
  lock.reset();
  EXPECT_NE(lock_existing(*config_), nullptr);
}

TEST_F(RunDirectoryTest, HasNoLockBeforeItExists) { EXPECT_EQ(lock_existing(*config_), nullptr); }

TEST_F(RunDirectoryTest, RenamesLaterCheckpointsAndRemovesUnfinishedOnes) {
  fs::create_directories(fs::path(plan_.directory) / "checkpoints");
  touch("checkpoints/step_000000001.h5");
  touch("checkpoints/step_000000002.h5");
  touch("checkpoints/step_000000003.h5.partial-17");
  plan_.start.step = 1;
  std::unique_ptr<RunLock> lock;
  prepare_run_directory(plan_, lock);
  EXPECT_EQ(checkpoint_steps(plan_.directory), (std::vector<int64_t>{1}));
  EXPECT_TRUE(fs::exists(fs::path(plan_.directory) / "checkpoints/step_000000002.h5.damaged"));
  EXPECT_FALSE(fs::exists(fs::path(plan_.directory) / "checkpoints/step_000000003.h5.partial-17"));
}

TEST_F(RunDirectoryTest, StaysAsItIsWhereTheRunIsAtItsEnd) {
  plan_.start.step = 3;
  std::unique_ptr<RunLock> lock;
  prepare_run_directory(plan_, lock);
  EXPECT_FALSE(fs::exists(plan_.directory));
}

TEST_F(RunDirectoryTest, WithARunNeedsResume) {
  std::unique_ptr<RunLock> lock;
  prepare_run_directory(plan_, lock);
  EXPECT_THROW(find_start(*config_), Error);
  config_->run.resume = "auto";
  EXPECT_FALSE(find_start(*config_)) << "no checkpoint yet";
}

TEST(RenamedOptions, AreErrorsForUsersAndReadFromCheckpoints) {
  const std::string old_text = "[data]\npath = data.h5\nwindow_bytes = 1048576\n[train]\nmax_skipped = 3\n";
  try {
    parse_config(old_text, "old.ini", {});
    FAIL() << "an old name is an error";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "old.ini: data.window_bytes: was renamed to data.shuffle_buffer_bytes; write that instead");
  }
  const std::unique_ptr<RunConfig> config = saved_config(old_text, "old run");
  EXPECT_EQ(config->data.shuffle_buffer_bytes, 1048576);
  EXPECT_EQ(config->train.max_nonfinite_steps, 3);
}

TEST(SavedConfiguration, IsNeverOneThatResumesByItself) {
  const std::unique_ptr<RunConfig> config =
      parse_config("[data]\npath = data.h5\n", "test", {{"run.resume", "auto"}});
  EXPECT_EQ(config->run.resume, "auto");
  EXPECT_EQ(saved_config(config->saved_ini(), "saved")->run.resume, "never");
  EXPECT_EQ(config->run.resume, "auto");
}

}  // namespace
}  // namespace elbo
