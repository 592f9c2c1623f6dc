#include "elbo/parallel/step_model.h"

#include <gtest/gtest.h>

namespace elbo {
namespace {

const StepCost cost{.microbatches = 8,
                    .workers = 2,
                    .parameters = 1000,
                    .phases = 1,
                    .microbatch_seconds = 0.01,
                    .update_seconds = 0.004,
                    .other_seconds = 0.001,
                    .link = {.latency = 1e-4, .seconds_per_byte = 1e-6}};

TEST(StepModel, AStepIsTheSumOfItsParts) {
  // One rank: eight microbatches on two workers, no communication.
  const StepSecondsModel alone = predict_step(cost, 1);
  EXPECT_DOUBLE_EQ(alone.compute, 0.04);
  EXPECT_DOUBLE_EQ(alone.communication, 0);
  EXPECT_DOUBLE_EQ(alone.total(), 0.045);
  // Four ranks have two microbatches and one subtree each; each sends 3/4 of the sums and of the parameters,
  // to three peers.
  const StepSecondsModel four = predict_step(cost, 4);
  EXPECT_DOUBLE_EQ(four.compute, 0.01);
  EXPECT_NEAR(four.communication, 2 * (3e-4 + 3000e-6) + 3e-4, 1e-12);
  EXPECT_DOUBLE_EQ(four.update, 0.001);
  // Three ranks: microbatches 2-4 have the maximal subtrees {2, 3} and {4}, so the reduce-scatter has two
  // rounds.
  EXPECT_NEAR(predict_step(cost, 3).communication, 3 * (2e-4 + 4000e-6 * 2 / 3) + 2e-4, 1e-12);
}

TEST(StepModel, EveryPhaseHasItsOwnMessages) {
  StepCost two = cost;
  two.phases = two.buckets = 2;
  EXPECT_NEAR(predict_step(two, 4).communication - predict_step(cost, 4).communication, 3 * 3e-4, 1e-12);
}

// 4 MB of gradients, three quarters of them in three early buckets.
TEST(StepModel, EarlyBucketsOverlapWithTheBackwardPass) {
  StepCost sequential = cost;
  sequential.parameters = 1'000'000;
  sequential.link = {.latency = 0, .seconds_per_byte = 1e-9};
  StepCost overlapped = sequential;
  overlapped.buckets = 4;
  overlapped.early_fraction = 0.75;
  overlapped.early_seconds = 0.002;
  // The reduce-scatter takes 2 ms; its early part overlaps completely.
  const StepSecondsModel fast = predict_step(overlapped, 2);
  EXPECT_NEAR(fast.overlapped, 0.002 * 0.75, 1e-12);
  EXPECT_NEAR(fast.communication + fast.overlapped, predict_step(sequential, 2).communication, 1e-12);
  // With a tenth of the bandwidth, the overlap is limited by the computation.
  overlapped.link.seconds_per_byte = 1e-8;
  EXPECT_NEAR(predict_step(overlapped, 2).overlapped, 0.002, 1e-12);
  EXPECT_EQ(predict_step(overlapped, 1).overlapped, 0);
  // On 32 ranks, the messages of four buckets would be too small: there is only one.
  EXPECT_EQ(predict_step(overlapped, 32).overlapped, 0);
}

TEST(StepModel, FitLinkRecoversTheBandwidth) {
  for (const double early_fraction : {0.0, 0.9}) {
    StepCost known = cost;
    known.parameters = 1'000'000;
    known.buckets = 5;
    known.early_fraction = early_fraction;
    known.early_seconds = 0.5;
    for (const int64_t ranks : {2, 3, 8})
      for (const double seconds_per_byte : {1e-6, 1e-8}) {
        known.link.seconds_per_byte = seconds_per_byte;
        const Link found =
            fit_link(known, ranks, cost.link.latency, predict_step(known, ranks).communication);
        EXPECT_NEAR(found.seconds_per_byte / seconds_per_byte, 1, 1e-6);
      }
  }
  EXPECT_NEAR(fit_link(cost, 2, 1.0, 0.5).seconds_per_byte, 0, 1e-15);
}

}  // namespace
}  // namespace elbo
