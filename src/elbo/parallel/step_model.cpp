#include "elbo/parallel/step_model.h"

#include <algorithm>

#include "elbo/parallel/buckets.h"
#include "elbo/parallel/tree_sum.h"

namespace elbo {
namespace {

// Rounds of the exchange of slices: as many as subtrees that one rank's leaves make at most.
int64_t rounds_of_exchange(int64_t microbatches, int64_t ranks) {
  size_t most = 0;
  for (int64_t rank = 0; rank < ranks; ++rank)
    most = std::max(most, maximal_subtrees(partition({0, microbatches}, rank, ranks), microbatches).size());
  return static_cast<int64_t>(most);
}

int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t buckets_of(const StepCost& cost, int64_t ranks) {
  const int64_t sendable = std::max(cost.phases, cost.parameters / (ranks * Buckets::message_elements));
  return std::min(cost.buckets, sendable);
}

// Of one rank in one step.
struct Traffic {
  double messages = 0, bytes = 0;
  double seconds(const Link& link) const { return link.seconds(messages, bytes); }
};

// Each rank sends every other its slice of the sums, in rounds …
Traffic gradients(const StepCost& cost, int64_t ranks) {
  const auto peers = static_cast<double>(ranks - 1);
  const auto rounds = static_cast<double>(rounds_of_exchange(cost.microbatches, ranks));
  return {.messages = rounds * static_cast<double>(buckets_of(cost, ranks)) * peers,
          .bytes = rounds * 4.0 * static_cast<double>(cost.parameters) * peers / static_cast<double>(ranks)};
}

// … then scalars, in a message too short to have a size, and later its slice of the parameters.
Traffic scalars_and_parameters(const StepCost& cost, int64_t ranks) {
  const auto peers = static_cast<double>(ranks - 1);
  return {.messages = static_cast<double>(buckets_of(cost, ranks) + cost.phases) * peers,
          .bytes = 4.0 * static_cast<double>(cost.parameters) * peers / static_cast<double>(ranks)};
}

}  // namespace

StepSecondsModel predict_step(const StepCost& cost, int64_t ranks) {
  StepSecondsModel step{
      .compute = static_cast<double>(up(up(cost.microbatches, ranks), cost.workers)) * cost.microbatch_seconds,
      .update = cost.update_seconds / static_cast<double>(ranks),
      .other = cost.other_seconds};
  if (ranks == 1) return step;
  const double summing = gradients(cost, ranks).seconds(cost.link);
  if (cost.buckets > cost.phases) {
    const double share = cost.early_share * static_cast<double>(buckets_of(cost, ranks) - cost.phases) /
                         static_cast<double>(cost.buckets - cost.phases);
    step.hidden = std::min(summing * share, cost.early_seconds);
  }
  step.exchange = summing - step.hidden + scalars_and_parameters(cost, ranks).seconds(cost.link);
  return step;
}

Link fit_link(const StepCost& cost, int64_t ranks, double latency, double exchange_seconds) {
  StepCost tried = cost;
  const auto takes = [&](double seconds_per_byte) {
    tried.link = {.latency = latency, .seconds_per_byte = seconds_per_byte};
    return predict_step(tried, ranks).exchange;
  };
  // The exchange grows with it.
  double low = 0, high = 1e-12;
  while (takes(high) < exchange_seconds) high *= 2;
  for (int round = 0; round < 60; ++round) {
    const double middle = (low + high) / 2;
    (takes(middle) < exchange_seconds ? low : high) = middle;
  }
  return {.latency = latency, .seconds_per_byte = low};
}

}  // namespace elbo
