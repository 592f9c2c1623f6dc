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
  // One rank: eight leaves on two workers, nothing travels.
  const StepSecondsModel alone = predict_step(cost, 1);
  EXPECT_DOUBLE_EQ(alone.compute, 0.04);
  EXPECT_DOUBLE_EQ(alone.exchange, 0);
  EXPECT_DOUBLE_EQ(alone.total(), 0.045);
  // Four ranks have two leaves and one subtree each; sums and parameters travel once, 3/4 of them, to three
  // peers.
  const StepSecondsModel four = predict_step(cost, 4);
  EXPECT_DOUBLE_EQ(four.compute, 0.01);
  EXPECT_NEAR(four.exchange, 2 * (3e-4 + 3000e-6) + 3e-4, 1e-12);
  EXPECT_DOUBLE_EQ(four.update, 0.001);
  // Three ranks: leaves 2-4 make the subtrees {2, 3} and {4}, so sums travel in two rounds.
  EXPECT_NEAR(predict_step(cost, 3).exchange, 3 * (2e-4 + 4000e-6 * 2 / 3) + 2e-4, 1e-12);
}

TEST(StepModel, EveryPhaseHasMessagesOfItsOwn) {
  StepCost two = cost;
  two.phases = two.buckets = 2;
  EXPECT_NEAR(predict_step(two, 4).exchange - predict_step(cost, 4).exchange, 3 * 3e-4, 1e-12);
}

// 4 MB of gradients, three quarters of them in three early buckets.
TEST(StepModel, AllBucketsButTheLastTravelBehindTheBackwardPass) {
  StepCost apart = cost;
  apart.parameters = 1'000'000;
  apart.link = {.latency = 0, .seconds_per_byte = 1e-9};
  StepCost overlapped = apart;
  overlapped.buckets = 4;
  overlapped.early_share = 0.75;
  overlapped.early_seconds = 0.002;
  // Gradients take 2 ms, and what can travel early finds the time to.
  const StepSecondsModel fast = predict_step(overlapped, 2);
  EXPECT_NEAR(fast.hidden, 0.002 * 0.75, 1e-12);
  EXPECT_NEAR(fast.exchange + fast.hidden, predict_step(apart, 2).exchange, 1e-12);
  // Ten times slower they do not.
  overlapped.link.seconds_per_byte = 1e-8;
  EXPECT_NEAR(predict_step(overlapped, 2).hidden, 0.002, 1e-12);
  EXPECT_EQ(predict_step(overlapped, 1).hidden, 0);
  // For 32 ranks a message in four buckets would be too small: there is one.
  EXPECT_EQ(predict_step(overlapped, 32).hidden, 0);
}

TEST(StepModel, ALinkIsFoundAgainFromTheExchangeThatItTakes) {
  for (const double early_share : {0.0, 0.9}) {
    StepCost known = cost;
    known.parameters = 1'000'000;
    known.buckets = 5;
    known.early_share = early_share;
    known.early_seconds = 0.5;
    for (const int64_t ranks : {2, 3, 8})
      for (const double seconds_per_byte : {1e-6, 1e-8}) {
        known.link.seconds_per_byte = seconds_per_byte;
        const Link found = fit_link(known, ranks, cost.link.latency, predict_step(known, ranks).exchange);
        EXPECT_NEAR(found.seconds_per_byte / seconds_per_byte, 1, 1e-6);
      }
  }
  EXPECT_NEAR(fit_link(cost, 2, 1.0, 0.5).seconds_per_byte, 0, 1e-15);
}

}  // namespace
}  // namespace elbo
