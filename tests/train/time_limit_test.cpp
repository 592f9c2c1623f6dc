#include "elbo/train/time_limit.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <string>

namespace elbo {
namespace {

using Clock = TimeLimit::Clock;
using std::chrono::hours, std::chrono::minutes;

TEST(TimeLimitTest, LeavesTimeForTheCheckpoint) {
  TimeLimit limit("60", Clock::now() - minutes(50));
  EXPECT_FALSE(limit.reached(1));
  EXPECT_FALSE(limit.reached(390));  // half as much to spare: 585 of 600 s
  EXPECT_TRUE(limit.reached(410));
  EXPECT_TRUE(limit.reached(1)) << "it has stopped the run already";
}

TEST(TimeLimitTest, IsOverWhereTheStartTookAllOfIt) {
  EXPECT_TRUE(TimeLimit("10", Clock::now() - hours(1)).reached(0));
}

TEST(TimeLimitTest, NeverComes) {
  EXPECT_FALSE(TimeLimit("never", Clock::now() - hours(10000)).reached(1e9));
}

class SlurmTimeLimitTest : public ::testing::Test {
 protected:
  static void end_in(int64_t later) { set(std::to_string(std::time(nullptr) + later)); }
  static void set(const std::string& value) { ::setenv("SLURM_JOB_END_TIME", value.c_str(), 1); }
  void TearDown() override { ::unsetenv("SLURM_JOB_END_TIME"); }
};

TEST_F(SlurmTimeLimitTest, IsTheEndOfTheJob) {
  end_in(1000);
  EXPECT_FALSE(TimeLimit("auto", Clock::now()).reached(600));
  EXPECT_TRUE(TimeLimit("auto", Clock::now()).reached(700));
  EXPECT_FALSE(TimeLimit("never", Clock::now()).reached(700));
  end_in(-5);
  EXPECT_TRUE(TimeLimit("auto", Clock::now()).reached(0));
}

TEST_F(SlurmTimeLimitTest, IsNoneWhereSlurmTellsNone) {
  for (const char* text :
       {"", "0", "-1", "Unknown", "12 o'clock", "4294967295000", "99999999999999999999999"}) {
    set(text);
    EXPECT_FALSE(TimeLimit("auto", Clock::now()).reached(1e6)) << text;
  }
  TearDown();
  EXPECT_FALSE(TimeLimit("auto", Clock::now()).reached(1e6));
}

}  // namespace
}  // namespace elbo
