#include "elbo/parallel/step_model.h"

#include <algorithm>

#include "elbo/parallel/buckets.h"
#include "elbo/parallel/tree_sum.h"

namespace elbo {
namespace {

// Rounds of the reduce-scatter: the largest number of maximal subtrees of any rank's microbatches.
int64_t reduce_scatter_rounds(int64_t microbatches, int64_t ranks) {
  size_t rounds = 0;
  for (int64_t rank = 0; rank < ranks; ++rank)
    rounds =
        std::max(rounds, maximal_subtrees(partition({0, microbatches}, rank, ranks), microbatches).size());
  return static_cast<int64_t>(rounds);
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The number of buckets on `ranks` ranks, given the minimum size of messages.
int64_t buckets_of(const StepCost& cost, int64_t ranks) {
  const int64_t limit = std::max(cost.phases, cost.parameters / (ranks * Buckets::message_elements));
  return std::min(cost.buckets, limit);
}

// What one rank sends in one step.
struct Traffic {
  double messages = 0, bytes = 0;
  double seconds(const Link& link) const { return link.seconds(messages, bytes); }
};

// Reduce-scatter: in each round, each rank sends every other rank its shard of a partial sum.
Traffic reduce_scatter(const StepCost& cost, int64_t ranks) {
  const auto peers = static_cast<double>(ranks - 1);
  const auto rounds = static_cast<double>(reduce_scatter_rounds(cost.microbatches, ranks));
  return {.messages = rounds * static_cast<double>(buckets_of(cost, ranks)) * peers,
          .bytes = rounds * 4.0 * static_cast<double>(cost.parameters) * peers / static_cast<double>(ranks)};
}

// All-gather of scalars, whose bytes are negligible, and all-gather of parameters.
Traffic all_gathers(const StepCost& cost, int64_t ranks) {
  const auto peers = static_cast<double>(ranks - 1);
  return {.messages = static_cast<double>(buckets_of(cost, ranks) + cost.phases) * peers,
          .bytes = 4.0 * static_cast<double>(cost.parameters) * peers / static_cast<double>(ranks)};
}

}  // namespace

StepSecondsModel predict_step(const StepCost& cost, int64_t ranks) {
  StepSecondsModel step{
      .compute = static_cast<double>(ceil_div(ceil_div(cost.microbatches, ranks), cost.workers)) *
                 cost.microbatch_seconds,
      .update = cost.update_seconds / static_cast<double>(ranks),
      .other = cost.other_seconds};
  if (ranks == 1) return step;
  const double reducing = reduce_scatter(cost, ranks).seconds(cost.link);
  if (cost.buckets > cost.phases) {
    const double fraction = cost.early_fraction * static_cast<double>(buckets_of(cost, ranks) - cost.phases) /
                            static_cast<double>(cost.buckets - cost.phases);
    step.overlapped = std::min(reducing * fraction, cost.early_seconds);
  }
  step.communication = reducing - step.overlapped + all_gathers(cost, ranks).seconds(cost.link);
  return step;
}

Link fit_link(const StepCost& cost, int64_t ranks, double latency, double communication_seconds) {
  StepCost trial = cost;
  const auto communication = [&](double seconds_per_byte) {
    trial.link = {.latency = latency, .seconds_per_byte = seconds_per_byte};
    return predict_step(trial, ranks).communication;
  };
  // Bisection: communication increases with seconds_per_byte.
  double low = 0, high = 1e-12;
  while (communication(high) < communication_seconds) high *= 2;
  for (int iteration = 0; iteration < 60; ++iteration) {
    const double middle = (low + high) / 2;
    (communication(middle) < communication_seconds ? low : high) = middle;
  }
  return {.latency = latency, .seconds_per_byte = low};
}

}  // namespace elbo
