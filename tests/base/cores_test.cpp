#include "elbo/base/cores.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace elbo {
namespace {

namespace fs = std::filesystem;

// Control groups as files in a folder.
class CoresTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "elbo_cores_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const fs::path& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  double quota() const { return core_allowance(root_).quota; }

  fs::path root_;
};

TEST_F(CoresTest, WithoutControlGroupsThereIsNoLimit) {
  EXPECT_EQ(quota(), 0);
  const CoreAllowance allowance = core_allowance(root_);
  EXPECT_GE(CPU_COUNT(&allowance.mask), 1);
}

TEST_F(CoresTest, TheSmallestQuotaOfVersion2AndTheGroupsAboveCounts) {
  write("proc/self/cgroup", "0::/pods/one\n");
  write("sys/fs/cgroup/pods/one/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 0);
  write("sys/fs/cgroup/pods/cpu.max", "250000 100000\n");
  EXPECT_EQ(quota(), 2.5);
  write("sys/fs/cgroup/pods/one/cpu.max", "75000 50000\n");
  EXPECT_EQ(quota(), 1.5);
}

TEST_F(CoresTest, InAContainerTheMountIsItsOwnGroup) {
  write("proc/self/cgroup", "0::/system.slice/docker-0123.scope\n");
  write("sys/fs/cgroup/cpu.max", "300000 100000\n");
  EXPECT_EQ(quota(), 3);
}

TEST_F(CoresTest, QuotasOfVersion1AreRead) {
  write("proc/self/cgroup", "5:memory:/docker/0123\n4:cpu,cpuacct:/docker/0123\n1:name=systemd:/\n0::/\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/0123/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/0123/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(quota(), 0);
  write("sys/fs/cgroup/cpu,cpuacct/docker/0123/cpu.cfs_quota_us", "50000\n");
  EXPECT_EQ(quota(), 0.5);
}

TEST_F(CoresTest, TextThatIsNoQuotaSetsNoLimit) {
  write("proc/self/cgroup", "nonsense\n0::/a\n");
  for (const char* text : {"", "many few", "100000", "100000 0", "-5 100000"}) {
    write("sys/fs/cgroup/a/cpu.max", text);
    EXPECT_EQ(quota(), 0) << text;
  }
}

CoreAllowance with(std::initializer_list<size_t> cores, double quota = 0, uint64_t group = 0) {
  CoreAllowance allowance{.mask = {}, .quota = quota, .quota_group = group};
  CPU_ZERO(&allowance.mask);
  for (const size_t core : cores) CPU_SET(core, &allowance.mask);
  return allowance;
}

TEST(CoresOfRanks, AreDividedAmongTheRanksThatMayUseThem) {
  EXPECT_EQ(cores_of({with({0, 1, 2, 3})}, 0), 4);
  EXPECT_EQ(cores_of({with({0, 1, 2, 3}), with({0, 1, 2, 3})}, 1), 2);
  EXPECT_EQ(cores_of({with({0, 1}), with({2, 3, 4})}, 1), 3);
  EXPECT_EQ(cores_of({with({0}), with({0}), with({0})}, 2), 1);
}

TEST(CoresOfRanks, AQuotaIsDividedAmongTheRanksOfItsGroup) {
  EXPECT_EQ(cores_of({with({0, 1, 2, 3}, 2.5, 7)}, 0), 2);
  EXPECT_EQ(cores_of({with({0, 1, 2, 3}, 0.3, 7)}, 0), 1);
  EXPECT_EQ(cores_of({with({0, 1, 2, 3}, 16, 7)}, 0), 4);
  const auto all = {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{4}, size_t{5}, size_t{6}, size_t{7}};
  EXPECT_EQ(cores_of({with(all, 4, 7), with(all, 4, 7)}, 0), 2);
  EXPECT_EQ(cores_of({with(all, 3, 7), with(all, 3, 8)}, 0), 3);
  EXPECT_EQ(cores_of({with(all, 3, 7), with(all)}, 1), 4);
}

}  // namespace
}  // namespace elbo
