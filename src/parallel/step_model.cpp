#include "parallel/step_model.h"

#include <algorithm>

#include "parallel/tree_sum.h"

namespace elbo {
namespace {

// Rounds of the exchange of slices: as many as subtrees that one rank's leaves make at most.
int64_t rounds_of_exchange(int64_t leaves, int64_t ranks) {
  size_t most = 0;
  for (int64_t rank = 0; rank < ranks; ++rank)
    most = std::max(most, maximal_subtrees(share_of({0, leaves}, rank, ranks), leaves).size());
  return static_cast<int64_t>(most);
}

int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Of one rank in one step.
struct Traffic {
  double messages = 0, bytes = 0;
};

// Each rank sends every other its slice of the sums, in rounds, and later its slice of the parameters to all;
// in between goes one message of scalars, too short to have a size.
Traffic traffic_of(const StepCost& cost, int64_t ranks) {
  const auto peers = static_cast<double>(ranks - 1);
  const auto passes = static_cast<double>(rounds_of_exchange(cost.leaves, ranks) + 1);
  return {.messages = (passes + 1) * static_cast<double>(cost.phases) * peers,
          .bytes = passes * 4.0 * static_cast<double>(cost.parameters) * peers / static_cast<double>(ranks)};
}

}  // namespace

StepSecondsModel predict_step(const StepCost& cost, int64_t ranks) {
  StepSecondsModel step{
      .compute = static_cast<double>(up(up(cost.leaves, ranks), cost.workers)) * cost.leaf_seconds,
      .exchange = 0,
      .update = cost.update_seconds / static_cast<double>(ranks),
      .other = cost.other_seconds};
  if (ranks == 1) return step;
  const Traffic traffic = traffic_of(cost, ranks);
  step.exchange = cost.link.seconds(traffic.messages, traffic.bytes);
  return step;
}

Link fit_link(const StepCost& cost, int64_t ranks, double latency, double exchange_seconds) {
  const Traffic traffic = traffic_of(cost, ranks);
  return {.latency = latency,
          .seconds_per_byte = std::max(0.0, exchange_seconds - traffic.messages * latency) / traffic.bytes};
}

}  // namespace elbo
