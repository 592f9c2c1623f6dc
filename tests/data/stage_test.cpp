#include "elbo/data/stage.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "data_test.h"
#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/data/data_files.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

class StageTest : public DataTest {
 protected:
  void SetUp() override {
    DataTest::SetUp();
    fs::create_directories(path("disk"));
    write_file(path("data.h5"), "some bytes");
  }
  std::string copy() const {
    Stage stage(path("data.h5"), path("disk"));
    while (stage.copy_some()) {
    }
    return stage.path();
  }
};

// The id of a process that has ended.
pid_t ended_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

TEST_F(StageTest, ACopyIsUsedAgainUnlessItsContentHasChanged) {
  const std::string staged = copy();
  const auto before = fs::last_write_time(staged);
  EXPECT_EQ(copy(), staged);
  EXPECT_EQ(fs::last_write_time(staged), before);
  std::fstream(staged, std::ios::in | std::ios::out | std::ios::binary) << "S";
  testing::internal::CaptureStderr();
  EXPECT_EQ(copy(), staged);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("it is copied again"));
  EXPECT_EQ(read_file(staged), "some bytes");
}

TEST_F(StageTest, ACopyIsPrivateAndOneThatOthersCanWriteIsNotUsed) {
  const std::string staged = copy();
  EXPECT_EQ(fs::status(staged).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  fs::permissions(staged, fs::perms::others_write, fs::perm_options::add);
  EXPECT_EQ(copy(), staged);
  EXPECT_EQ(fs::status(staged).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(StageTest, CopiesAFileOnceAndRemovesIncompleteCopies) {
  const std::string staged = copy();
  EXPECT_EQ(read_file(staged), "some bytes");
  fs::remove(staged);
  const std::string leftover = staged + ".partial-" + std::to_string(ended_process());
  write_file(leftover, "some");
  EXPECT_EQ(copy(), staged);
  EXPECT_EQ(read_file(staged), "some bytes");
  EXPECT_FALSE(fs::exists(leftover));
}

TEST_F(StageTest, ALeftoverThatCannotBeRemovedIsAWarning) {
  const std::string staged = copy();
  fs::remove(staged);
  fs::create_directories(staged + ".partial-" + std::to_string(ended_process()) + "/inside");
  testing::internal::CaptureStderr();
  EXPECT_EQ(copy(), staged);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("cannot be removed"));
}

TEST_F(StageTest, AFolderThatDisappearsIsAnErrorThatNamesIt) {
  Stage stage(path("data.h5"), path("disk"));
  fs::remove(path("disk"));
  EXPECT_THROW(stage.copy_some(), Error);
}

TEST(DataFiles, AListOfManyFilesIsNoNameThatIsTooLong) {
  std::string list = "part_0.h5";
  for (int i = 1; i < 100; ++i) list += ",part_" + std::to_string(i) + ".h5";
  EXPECT_EQ(data_files(list).size(), 100U);
}

}  // namespace
}  // namespace elbo
