#include "elbo/base/append_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/base/file.h"

namespace elbo {
namespace {

// A limit on the size of files fails writes as a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

class AppendFileTest : public ::testing::Test {
 protected:
  const std::filesystem::path path_ = std::filesystem::path(::testing::TempDir()) / "appended.txt";
  void SetUp() override { std::filesystem::remove(path_); }
};

TEST_F(AppendFileTest, ContinuesAnExistingFile) {
  write_file(path_, "one\n");
  AppendFile file(path_);
  EXPECT_EQ(file.append("two\n"), "");
  EXPECT_EQ(read_file(path_), "one\ntwo\n");
}

TEST_F(AppendFileTest, KeepsWhatDoesNotFitAndWritesItLater) {
  AppendFile file(path_);
  EXPECT_EQ(file.append("12345\n"), "");
  {
    const FileSizeLimit full(8);
    EXPECT_NE(file.append("67890\n"), "");
    EXPECT_NE(file.append("abcde\n"), "");
    EXPECT_EQ(read_file(path_), "12345\n") << "no piece is cut in two";
  }
  EXPECT_EQ(file.flush(), "");
  EXPECT_EQ(read_file(path_), "12345\n67890\nabcde\n");
}

TEST_F(AppendFileTest, IsMadeAgainWithAllTextWhereItsFolderWasDeleted) {
  const std::filesystem::path folder = path_.parent_path() / "run_of_a_file";
  std::filesystem::create_directories(folder);
  AppendFile file(folder / "lines.txt");
  EXPECT_EQ(file.append("one\n"), "");
  std::filesystem::remove_all(folder);
  EXPECT_EQ(file.append("two\n"), "");
  EXPECT_EQ(read_file(folder / "lines.txt"), "one\ntwo\n");
  std::filesystem::remove_all(folder);
}

TEST_F(AppendFileTest, WaitsBeforeItTriesAgainAndFlushDoesNot) {
  AppendFile file(path_);
  {
    const FileSizeLimit full(2);
    EXPECT_NE(file.append("123\n"), "");
  }
  EXPECT_NE(file.append("456\n"), "") << "no second has passed";
  EXPECT_EQ(file.flush(), "");
  EXPECT_EQ(file.append("789\n"), "");
  EXPECT_EQ(read_file(path_), "123\n456\n789\n");
}

TEST_F(AppendFileTest, RefusesAFolder) { EXPECT_THROW(AppendFile(path_.parent_path()), Error); }

}  // namespace
}  // namespace elbo
