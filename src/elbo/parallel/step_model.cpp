#include "elbo/parallel/step_model.h"

#include <algorithm>
#include <vector>

#include "elbo/parallel/buckets.h"
#include "elbo/parallel/tree_sum.h"

namespace elbo {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The number of buckets on `ranks` ranks, given the minimum size of messages.
int64_t buckets_of(const StepCost& cost, int64_t ranks) {
  const int64_t limit = std::max(cost.phases, cost.parameters / (ranks * Buckets::message_elements));
  return std::min(cost.buckets, limit);
}

// The members of a level of communication (levels.h).
struct LevelModel {
  int64_t members;
  int64_t groups;  // that share all microbatches: the members of all communicators of the level
  double bytes;    // that a rank reduces and gathers on the level
  double sharing;  // ranks that send over one link
  Link link;
};

std::vector<LevelModel> levels_of(const StepCost& cost, int64_t ranks) {
  const double bytes = 4.0 * static_cast<double>(cost.parameters);
  const int64_t node_ranks = std::min(cost.node_ranks, ranks), nodes = ranks / node_ranks;
  if (node_ranks == 1) return {{nodes, nodes, bytes, 1, cost.link}};
  const LevelModel within{node_ranks, ranks, bytes, 1, cost.node_link};
  if (nodes == 1) return {within};
  const auto sharing = static_cast<double>(node_ranks);
  return {within, {nodes, nodes, bytes / sharing, sharing, cost.link}};
}

// Every rank sends `rounds` times to each of the others, its part of all bytes in `pieces` messages.
double exchange_seconds(const LevelModel& level, int64_t rounds, int64_t pieces) {
  const auto peers = static_cast<double>(level.members - 1), times = static_cast<double>(rounds);
  return level.link.seconds(times * static_cast<double>(pieces) * peers,
                            times * level.sharing * level.bytes * peers / static_cast<double>(level.members));
}

struct Communication {
  double reduce_scatter = 0, scalars = 0, all_gather = 0;  // seconds
};

// The bytes of the scalars are negligible.
Communication communication_of(const StepCost& cost, int64_t ranks) {
  Communication seconds;
  const int64_t buckets = buckets_of(cost, ranks);
  for (const LevelModel& level : levels_of(cost, ranks)) {
    seconds.reduce_scatter +=
        exchange_seconds(level, reduce_scatter_rounds(cost.microbatches, level.groups), buckets);
    seconds.all_gather += exchange_seconds(level, 1, buckets);
    seconds.scalars += static_cast<double>(cost.phases * (level.members - 1)) * level.link.latency;
  }
  return seconds;
}

}  // namespace

int64_t reduce_scatter_rounds(int64_t microbatches, int64_t groups) {
  size_t rounds = 0;
  for (int64_t group = 0; group < groups; ++group)
    rounds =
        std::max(rounds, maximal_subtrees(partition({0, microbatches}, group, groups), microbatches).size());
  return static_cast<int64_t>(rounds);
}

StepSecondsModel predict_step(const StepCost& cost, int64_t ranks) {
  StepSecondsModel step{
      .compute = static_cast<double>(ceil_div(ceil_div(cost.microbatches, ranks), cost.workers)) *
                 cost.microbatch_seconds,
      .update = cost.update_seconds / static_cast<double>(ranks),
      .other = cost.other_seconds};
  if (ranks == 1) return step;
  const Communication seconds = communication_of(cost, ranks);
  if (cost.buckets > cost.phases) {
    const double fraction = cost.early_fraction * static_cast<double>(buckets_of(cost, ranks) - cost.phases) /
                            static_cast<double>(cost.buckets - cost.phases);
    step.overlapped = std::min(seconds.reduce_scatter * fraction, cost.early_seconds) +
                      std::min(seconds.all_gather * fraction, cost.forward_seconds);
  }
  step.communication = seconds.reduce_scatter + seconds.scalars + seconds.all_gather - step.overlapped;
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
