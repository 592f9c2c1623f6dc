#include "elbo/train/symptoms.h"

#include <gmock/gmock.h>

#include "elbo/train/rank_times.h"

namespace elbo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

std::vector<RankPlace> two_hosts() { return {{"node1", 1}, {"node1", 1}, {"node2", 2}}; }

TEST(RankTimesTest, SumsWhatEachRankDid) {
  RankTimes times(two_hosts());
  times.add({{1.0, 0.5}, {2.0, 0.0}, {4.0, 1.0}});
  times.add({{1.0, 0.5}, {1.5, 0.0}, {0.5, 3.0}});
  EXPECT_EQ(
      times.table(),
      "rank\thost\tsteps\tcompute_s\tdata_wait_s\tafter_the_fastest_s\tbefore_the_slowest_s\tslowest_in\n"
      "0\tnode1\t2\t2.000\t0.500\t0.500\t3.500\t0\n"
      "1\tnode1\t2\t3.500\t0.000\t2.000\t2.000\t1\n"
      "2\tnode2\t2\t4.500\t1.500\t3.000\t1.000\t1\n");
  EXPECT_DOUBLE_EQ(times.data_wait(), 1.5) << "of a worker";
}

TEST(RankTimesTest, TellsARankThatIsAlwaysSlow) {
  RankTimes times(two_hosts());
  for (int i = 0; i < 10; ++i) times.add({{1.0, 0}, {1.1, 0}, {1.5, 0}});
  EXPECT_EQ(times.slow_rank(), 2);
  EXPECT_DOUBLE_EQ(times.ratio(2), 15 / 11.0);
  times.reset();
  times.add({{1.0, 0}, {9.0, 0}, {1.0, 0}});  // one step of one rank
  for (int i = 0; i < 3; ++i) times.add({{1.0, 0}, {1.0, 0}, {1.05, 0}});
  EXPECT_EQ(times.slow_rank(), -1);
  times.reset();
  for (int i = 0; i < 10; ++i) times.add({{1.0, 0}, {1.0, 0}, {1.2, 0}});
  EXPECT_EQ(times.slow_rank(), -1) << "a fifth is no matter";
}

TEST(RankTimesTest, OneRankIsNeverSlow) {
  RankTimes times({{"node1", 1}});
  times.add({{1.0, 0}});
  EXPECT_EQ(times.slow_rank(), -1);
}

class SymptomsTest : public ::testing::Test {
 protected:
  // What a step or an evaluation prints.
  std::string steps(int64_t number, const std::vector<RankSeconds>& ranks) {
    CaptureStderr();
    for (int64_t i = 0; i < number; ++i) symptoms_.after_step(++step_, ranks);
    return GetCapturedStderr();
  }
  std::string evaluate(int64_t step, const Evaluation& evaluation) {
    CaptureStderr();
    symptoms_.after_evaluation(step, evaluation);
    return GetCapturedStderr();
  }
  static Evaluation with_kl(std::vector<double> kl, int64_t active_units) {
    Evaluation evaluation;
    evaluation.kl_per_dim = std::move(kl);
    evaluation.active_units = active_units;
    return evaluation;
  }

  Symptoms symptoms_{RankTimes(two_hosts())};
  int64_t step_ = 0;
};

TEST_F(SymptomsTest, NamesASlowRankAndItsHostOnce) {
  EXPECT_EQ(steps(99, {{1.0, 0}, {1.0, 0}, {3.0, 0}}), "");
  EXPECT_THAT(steps(1, {{1.0, 0}, {1.0, 0}, {3.0, 0}}),
              HasSubstr("warning: in the 100 steps up to 100, rank 2 on node2 computed 3.0 times as long"));
  EXPECT_EQ(steps(100, {{1.0, 0}, {1.0, 0}, {3.0, 0}}), "");
  EXPECT_THAT(steps(100, {{1.0, 0}, {3.0, 0}, {1.0, 0}}), HasSubstr("rank 1 on node1")) << "another rank";
}

TEST_F(SymptomsTest, SaysThatWorkersWaitForDataAfterTheFirstWindow) {
  EXPECT_EQ(steps(100, {{1, 1e6}, {1, 0}, {1, 0}}), "") << "the start of reading";
  EXPECT_EQ(steps(100, {{1, 1e6}, {1, 0}, {1, 0}}), "");
  EXPECT_THAT(steps(100, {{1, 2e6}, {1, 0}, {1, 0}}), HasSubstr("workers waited for data"));
}

TEST_F(SymptomsTest, SaysThatThePosteriorIsThePrior) {
  EXPECT_EQ(evaluate(199, with_kl({0.01, 0.02}, 0)), "") << "learning has hardly begun";
  EXPECT_EQ(evaluate(200, with_kl({0.01, 2.0}, 1)), "");
  EXPECT_THAT(evaluate(200, with_kl({0.01, 0.02}, 0)),
              AllOf(HasSubstr("the posterior is the prior (KL 0.03 nats, none of 2 dimensions is active)"),
                    HasSubstr("model.warmup_steps")));
  EXPECT_EQ(evaluate(300, with_kl({0.01, 0.02}, 0)), "");
  EXPECT_EQ(evaluate(300, with_kl({}, 0)), "") << "a model without a posterior";
}

TEST_F(SymptomsTest, NamesALatentDimensionThatIsOutOfRange) {
  EXPECT_THAT(evaluate(5, with_kl({1.0, 2e4}, 2)), HasSubstr("latent dimension 1 has a KL of 2e+04 nats"));
}

TEST_F(SymptomsTest, SaysThatACodebookIsHardlyUsed) {
  Evaluation evaluation;
  evaluation.terms = {{"reconstruction", 1.0}, {"perplexity", 1.25}};
  EXPECT_THAT(evaluate(1000, evaluation), HasSubstr("rows use 1.2 vectors of the codebook"));
  evaluation.terms[1].second = 2.5;
  EXPECT_EQ(evaluate(1000, evaluation), "");
}

}  // namespace
}  // namespace elbo
