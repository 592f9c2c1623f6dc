#include "elbo/train/divergence.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "elbo/base/error.h"

namespace elbo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class DivergenceTest : public ::testing::Test {
 protected:
  DivergenceTest() {
    plan_.data = {.x = {4}, .kind = "tabular", .rows = 10};
    plan_.end_step = 1000;
    plan_.phases = {{.name = "model", .modules = {}}, {.name = "prior", .modules = {}}};
    plan_.max_nonfinite_steps = 2;
    plan_.directory = "RUN";
  }
  void take(double loss, bool finite_gradient = true, const std::string& phase = "model") {
    ++progress_.step;
    StepReport report;
    report.phase = phase;
    report.loss = loss;
    report.lr = 0.5;
    report.finite = finite_gradient && std::isfinite(loss);
    divergence_.count(report);
  }
  // The error of that many steps; "" for none.
  std::string error_of(double loss, int64_t steps) {
    try {
      for (int64_t i = 0; i < steps; ++i) take(loss);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::failure);
      return error.what();
    }
  }

  RunPlan plan_;
  Progress progress_;
  Divergence divergence_{plan_, progress_};
  static constexpr double infinity = std::numeric_limits<double>::infinity();
};

TEST_F(DivergenceTest, ALossThatStaysFarAboveTheFirstIsAnError) {
  take(20);
  EXPECT_EQ(error_of(1e25, 99), "");
  EXPECT_TRUE(divergence_.suspected());
  EXPECT_THAT(error_of(1e25, 1),
              AllOf(HasSubstr("training diverged"), HasSubstr("1e+25 after step 101"),
                    HasSubstr("was 20 at the start"), HasSubstr("lower optimizer.lr=0.5")));
}

TEST_F(DivergenceTest, ABadBatchAndALossOfTheSameMagnitudeAreNone) {
  take(20);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(error_of(1e25, 5), "");
    EXPECT_EQ(error_of(20'000, 5), "");
    EXPECT_FALSE(divergence_.suspected());
  }
}

TEST_F(DivergenceTest, ARunMayNotEndWithSuchLosses) {
  plan_.end_step = 50;
  take(-1);
  EXPECT_EQ(error_of(3, 44), "");
  EXPECT_THAT(error_of(1e9, 5), HasSubstr("after step 50"));
}

TEST_F(DivergenceTest, AShortRunThatLeavesItsFirstLossAtOnceHasDiverged) {
  plan_.end_step = 4;
  take(1);
  EXPECT_THAT(error_of(1e25, 3), HasSubstr("training diverged"));
}

TEST_F(DivergenceTest, ASingleFarStepAtTheEndIsABadBatch) {
  plan_.end_step = 30;
  take(1);
  EXPECT_EQ(error_of(1, 28), "");
  EXPECT_EQ(error_of(1e25, 1), "");
}

TEST_F(DivergenceTest, StepsThatAreNotFiniteEndTheRunAfterTooMany) {
  take(5);
  EXPECT_EQ(error_of(infinity, 2), "");
  EXPECT_THAT(error_of(infinity, 1), AllOf(HasSubstr("3 steps in a row"), HasSubstr("lower optimizer.lr")));
}

TEST_F(DivergenceTest, NoLearningRateIsAdvisedWhereTheFirstLossWasOutOfRange) {
  EXPECT_THAT(error_of(infinity, 3),
              AllOf(HasSubstr("scale the data"), Not(HasSubstr("lower optimizer.lr"))));
}

TEST_F(DivergenceTest, NoLearningRateIsAdvisedWhereOnlyTheFirstGradientWasNotFinite) {
  take(1e30, /*finite_gradient=*/false);
  EXPECT_THAT(error_of(infinity, 3),
              AllOf(HasSubstr("scale the data"), Not(HasSubstr("lower optimizer.lr"))));
}

TEST_F(DivergenceTest, ALossThatStaysHopelessFromTheFirstStepOnIsAnError) {
  EXPECT_EQ(error_of(1e25, 99), "");
  EXPECT_TRUE(divergence_.suspected());
  EXPECT_THAT(error_of(1e25, 1), AllOf(HasSubstr("scale the data"), Not(HasSubstr("lower optimizer.lr"))));
}

TEST_F(DivergenceTest, DataOfALargeUnitAreNotHopeless) {
  plan_.end_step = 300;
  EXPECT_EQ(error_of(4e9, 300), "");
}

TEST_F(DivergenceTest, TheLossOfAnotherPhaseIsNotCompared) {
  take(0.001);
  for (int i = 0; i < 200; ++i) take(1e6, true, "prior");
  EXPECT_FALSE(divergence_.suspected());
}

TEST_F(DivergenceTest, AResumedRunIsComparedWithTheFirstLossOfTheWholeRun) {
  progress_.first_loss = 1;
  progress_.step = plan_.start.step = 500;
  EXPECT_THAT(error_of(1e9, 100), HasSubstr("was 1 at the start"));
}

}  // namespace
}  // namespace elbo
