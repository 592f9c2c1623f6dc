#include "elbo/base/flight_recorder.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "elbo/base/error.h"

namespace elbo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class FlightRecorderTest : public ::testing::Test {
 protected:
  void SetUp() override { recorder_.move_to(std::make_shared<FlightRecord>()); }
  FlightRecorder& recorder_ = FlightRecorder::instance();
};

TEST_F(FlightRecorderTest, SaysWhatWasFinishedLastAndWhatTheRankWaitsIn) {
  FlightRecord& record = recorder_.record();
  record.rank = 2;
  record.step = 57;
  recorder_.leave(recorder_.enter("all_gather", 3 << 20));
  record.waits_in = recorder_.enter("all_to_all", 2048);
  const RankState state = state_of(record, "node7");
  EXPECT_FALSE(state.late());
  EXPECT_THAT(state.sentence(),
              AllOf(HasSubstr("rank 2 on node7"), HasSubstr("waits in all_to_all of 2.0 KiB"),
                    HasSubstr("in step 57, after all_gather of 3.0 MiB")));
}

TEST_F(FlightRecorderTest, SaysWhetherItComputesOrReads) {
  FlightRecord& record = recorder_.record();
  const Doing outer(record.main, "computes");
  {
    const Doing reading(record.reader, "reads rows");
    record.waits_for_data = 1;
    EXPECT_THAT(state_of(record, "here").sentence(), HasSubstr("reads rows for"));
    record.waits_for_data = 0;
  }
  const RankState state = state_of(record, "here");
  EXPECT_TRUE(state.late());
  EXPECT_THAT(state.sentence(), AllOf(HasSubstr("computes for"), Not(HasSubstr("reads"))));
}

TEST_F(FlightRecorderTest, NoticesAProcessThatIsStoppedOrGone) {
  const pid_t child = ::fork();
  if (child == 0)
    for (;;) ::pause();
  recorder_.record().process = child;
  ::kill(child, SIGSTOP);
  ::waitpid(child, nullptr, WUNTRACED);
  EXPECT_THAT(state_of(recorder_.record(), "here").sentence(),
              HasSubstr("is stopped, by a signal or a debugger"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(state_of(recorder_.record(), "here").sentence(), HasSubstr("is gone"));
}

TEST_F(FlightRecorderTest, KeepsTheLastCallsInOrder) {
  for (int64_t call = 0; call < 100; ++call) recorder_.leave(recorder_.enter("barrier", 0));
  const std::string text = ring_text(recorder_.record());
  EXPECT_EQ(std::ranges::count(text, '\n'), static_cast<int64_t>(FlightRecord::capacity));
  EXPECT_TRUE(text.starts_with("37 barrier step 0, entered ")) << text;
}

TEST_F(FlightRecorderTest, AStateTravelsAsALine) {
  recorder_.record().rank = 3;
  const RankState state = state_of(recorder_.record(), "node7");
  EXPECT_EQ(state_from_line(to_line(state)).sentence(), state.sentence());
  EXPECT_THROW(state_from_line("a greeting of somebody else"), Error);
}

}  // namespace
}  // namespace elbo
