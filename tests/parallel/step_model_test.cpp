#include "elbo/parallel/step_model.h"

#include <gtest/gtest.h>

#include <vector>

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

TEST(StepModel, TheAllGatherOfEarlyBucketsOverlapsWithTheForwardPass) {
  StepCost overlapped = cost;
  overlapped.parameters = 1'000'000;
  overlapped.link = {.latency = 0, .seconds_per_byte = 1e-9};
  overlapped.buckets = 4;
  overlapped.early_fraction = 0.75;
  const double before = predict_step(overlapped, 2).communication;
  overlapped.forward_seconds = 0.001;
  // The all-gather takes 2 ms; of its early part of 1.5 ms, 1 ms is hidden.
  EXPECT_NEAR(before - predict_step(overlapped, 2).communication, 0.001, 1e-12);
  overlapped.forward_seconds = 1;
  EXPECT_NEAR(before - predict_step(overlapped, 2).communication, 0.0015, 1e-12);
}

TEST(StepModel, RanksOfANodeExchangeFirst) {
  StepCost nodes = cost;
  nodes.node_ranks = 2;
  nodes.node_link = {.latency = 1e-5, .seconds_per_byte = 1e-8};
  // Two nodes of two ranks: 4000 bytes of gradients and as many of parameters. A rank sends half of them, and
  // half of the sums of its node's half to the other node; both ranks of a node use its link.
  const double within = 2 * (1e-5 + 2000e-8) + 1e-5, between = 2 * (1e-4 + 2 * 1000e-6) + 1e-4;
  EXPECT_NEAR(predict_step(nodes, 4).communication, within + between, 1e-12);
  EXPECT_NEAR(predict_step(nodes, 2).communication, within, 1e-12);
  // One level would send two messages to other nodes, and each rank its own sums: twice the bytes on the
  // link. Messages on 1,024 ranks: (2 - 1) + (512 - 1), in the reduce-scatter, the all-gather and the
  // scalars.
  StepCost latency = nodes;
  latency.microbatches = 1024;
  latency.node_link = {.latency = 1e-5, .seconds_per_byte = 0};
  latency.link = {.latency = 1e-4, .seconds_per_byte = 0};
  EXPECT_NEAR(predict_step(latency, 1024).communication, 3 * (1e-5 + 511e-4), 1e-12);
}

TEST(StepModel, RoundsAreTheSubtreesOfARange) {
  // The table of docs/parallelism.md, for 64 microbatches on 1 to 8 ranks.
  const std::vector<int64_t> expected{1, 1, 5, 1, 5, 4, 4, 1};
  for (int64_t ranks = 1; ranks <= 8; ++ranks)
    EXPECT_EQ(reduce_scatter_rounds(64, ranks), expected[static_cast<size_t>(ranks - 1)]);
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
