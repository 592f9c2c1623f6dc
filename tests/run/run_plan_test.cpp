#include "elbo/run/run_plan.h"

#include <gtest/gtest.h>

namespace elbo {
namespace {

RunPlan plan(const std::string& every) {
  RunPlan plan;
  plan.rows = 10;
  plan.batch = 4;
  plan.microbatch = 2;
  plan.end_step = 9;
  plan.evaluation_split = "validation";
  plan.evaluate.every = every;
  plan.checkpoint.every_steps = 4;
  plan.metrics_every = 5;
  return plan;
}

std::vector<int64_t> evaluated(const RunPlan& plan) {
  std::vector<int64_t> steps;
  for (int64_t step = 1; step <= plan.end_step; ++step)
    if (plan.evaluation_due(step)) steps.push_back(step);
  return steps;
}

TEST(RunPlan, EvaluatesAtTheFirstStepThatEndsInAnotherEpochAndAtTheEnd) {
  // 4 rows a step, 10 an epoch: the borders 10, 20 and 30 are reached by steps 3, 5 and 8.
  EXPECT_EQ(evaluated(plan("epoch")), (std::vector<int64_t>{3, 5, 8, 9}));
}

TEST(RunPlan, EvaluatesEverySoManyStepsAndAtTheEnd) {
  EXPECT_EQ(evaluated(plan("4")), (std::vector<int64_t>{4, 8, 9}));
}

TEST(RunPlan, EvaluatesNeverWithoutASplitOrWhereItIsSwitchedOff) {
  EXPECT_TRUE(evaluated(plan("never")).empty());
  RunPlan none = plan("epoch");
  none.evaluation_split = "";
  EXPECT_TRUE(evaluated(none).empty());
}

TEST(RunPlan, SavesEverySoManyStepsAndAtTheEnd) {
  RunPlan saves = plan("never");
  for (int64_t step = 1; step <= 9; ++step)
    EXPECT_EQ(saves.checkpoint_due(step), step == 4 || step == 8 || step == 9) << step;
  saves.checkpoint.every_steps = 0;
  EXPECT_FALSE(saves.checkpoint_due(4));
  EXPECT_TRUE(saves.checkpoint_due(9));
}

TEST(RunPlan, CountsEpochsAndMicrobatches) {
  EXPECT_EQ(plan("never").microbatches(), 2);
  EXPECT_DOUBLE_EQ(plan("never").epochs(5), 2.0);
  EXPECT_TRUE(plan("never").metrics_due(5));
  EXPECT_TRUE(plan("never").metrics_due(9));
  EXPECT_FALSE(plan("never").metrics_due(6));
}

}  // namespace
}  // namespace elbo
