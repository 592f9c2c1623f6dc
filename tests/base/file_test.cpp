#include "elbo/base/file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "elbo/base/error.h"
#include "elbo/base/sha256.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "elbo_file_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : fs::directory_iterator(folder_)) result.push_back(entry.path().filename());
    return result;
  }
  fs::path folder_;
};

TEST_F(FileTest, ACommittedFileReplacesItsTarget) {
  write_file(folder_ / "a", "one");
  write_file(folder_ / "a", "two");
  EXPECT_EQ(read_file(folder_ / "a"), "two");
  EXPECT_EQ(names(), std::vector<std::string>{"a"});
}

TEST_F(FileTest, AnUncommittedFileLeavesItsTargetUnchanged) {
  write_file(folder_ / "a", "old");
  {
    AtomicFile file(folder_ / "a");
    std::ofstream(file.temporary_path()) << "half of it";
  }
  EXPECT_EQ(read_file(folder_ / "a"), "old");
  EXPECT_EQ(names(), std::vector<std::string>{"a"});
}

TEST_F(FileTest, AWriteReplacesTheFileThatALinkLeadsTo) {
  write_file(folder_ / "a", "old");
  fs::create_symlink("a", folder_ / "link");
  write_file(folder_ / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(read_file(folder_ / "a"), "new");
}

TEST_F(FileTest, AWriteReplacesOnlyARegularFile) {
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  fs::create_symlink("none", folder_ / "nowhere");
  for (const char* name : {"fifo", "nowhere", "."}) {
    EXPECT_THROW(write_file(folder_ / name, "new"), Error) << name;
    EXPECT_THROW(AtomicFile(folder_ / "other").commit_as(folder_ / name), Error) << name;
  }
  EXPECT_TRUE(fs::is_fifo(folder_ / "fifo"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "nowhere"));
}

TEST_F(FileTest, ASignalThatEndsTheProcessRemovesUnfinishedFiles) {
  const auto interrupted = [&] {
    const RemovalOnSignals removal;
    AtomicFile first(folder_ / "a"), second(folder_ / "b");
    for (const AtomicFile* file : {&first, &second}) std::ofstream(file->temporary_path()) << "half of it";
    std::raise(SIGHUP);
  };
  EXPECT_EXIT(interrupted(), testing::KilledBySignal(SIGHUP), "");
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(FileTest, AFileThatCannotBeReadIsAUsageError) {
  for (const fs::path& path : {folder_ / "none", folder_}) {
    try {
      read_file(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_THAT(error.what(), testing::HasSubstr(path.string()));
    }
  }
}

TEST_F(FileTest, Sha256AgreesWithTheStandardsExamples) {
  // The examples of FIPS 180-4.
  EXPECT_EQ(sha256("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("", 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  write_file(folder_ / "f", "__abc");
  EXPECT_EQ(sha256_of_file(folder_ / "f", 2), sha256("abc", 3));
}

TEST(ExpandHome, ReplacesATildeBeforeTheFirstSlash) {
  const char* old = std::getenv("HOME");
  const std::string before = old == nullptr ? "" : old;
  ::setenv("HOME", "/home/ada", 1);
  EXPECT_EQ(expand_home("~/run"), "/home/ada/run");
  EXPECT_EQ(expand_home("~"), "/home/ada");
  EXPECT_EQ(expand_home("~ada/run"), "~ada/run");
  EXPECT_EQ(expand_home("a/~/run"), "a/~/run");
  ::unsetenv("HOME");
  EXPECT_THROW(expand_home("~/run"), Error);
  if (old != nullptr) ::setenv("HOME", before.c_str(), 1);
}

TEST(Text, SizesAndDurationsReadNaturally) {
  EXPECT_EQ(human_bytes(1.5 * 1024 * 1024), "1.5 MiB");
  EXPECT_EQ(human_duration(12), "12 s");
  EXPECT_EQ(human_duration(245), "4 min 05 s");
  EXPECT_EQ(human_duration(3 * 3600 + 12 * 60), "3 h 12 min");
}

TEST(Text, TheNearestNameIsAPlausibleMisspelling) {
  EXPECT_EQ(nearest_name("trian", {"evaluate", "train"}), "train");
  EXPECT_EQ(nearest_name("zebra", {"evaluate", "train"}), "");
}

TEST(Text, SplitAndJoinAreInverse) {
  EXPECT_EQ(split(" a, b ,c", ','), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(join({"a", "b"}, ", "), "a, b");
  EXPECT_TRUE(split("", ',').empty());
}

TEST_F(FileTest, ACleanUpThatFailsIsAWarning) {
  write_file(folder_ / "a", "of no use");
  fs::create_directories(folder_ / "b" / "c");
  remove_or_warn(folder_ / "a");
  remove_or_warn(folder_ / "none");
  testing::internal::CaptureStderr();
  remove_or_warn(folder_ / "b");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("b: cannot be removed"));
  EXPECT_EQ(names(), std::vector<std::string>{"b"});
}

TEST_F(FileTest, AFolderThatCannotBeListedIsNoException) {
  write_file(folder_ / "a", "");
  std::error_code error;
  EXPECT_EQ(entries_of(folder_, error), std::vector<fs::path>{folder_ / "a"});
  EXPECT_FALSE(error);
  EXPECT_TRUE(entries_of(folder_ / "none", error).empty());
  EXPECT_TRUE(error);
}

TEST_F(FileTest, RefusesToReadAFifoOrADevice) {
  const fs::path fifo = folder_ / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THROW(require_readable_file(fifo), Error);
  EXPECT_THROW(read_file("/dev/zero"), Error);
}

}  // namespace
}  // namespace elbo
