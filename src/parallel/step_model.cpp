#include "parallel/step_model.h"

#include <algorithm>

#include "base/error.h"
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

}  // namespace

Link fit_link(const std::vector<std::pair<double, double>>& measured, int64_t peers) {
  // Least squares of (a + b·bytes)/seconds - 1: small messages count as much as large ones.
  double aa = 0, ab = 0, bb = 0, a1 = 0, b1 = 0;
  for (const auto& [bytes, seconds] : measured) {
    const double a = 1 / seconds, b = bytes / seconds;
    aa += a * a;
    ab += a * b;
    bb += b * b;
    a1 += a;
    b1 += b;
  }
  const double determinant = aa * bb - ab * ab;
  if (!(determinant > 1e-12 * aa * bb)) fail("a link's speed follows from messages of different sizes only");
  const double latency = (a1 * bb - b1 * ab) / determinant, per_byte = (aa * b1 - ab * a1) / determinant;
  return {.latency = std::max(0.0, latency) / static_cast<double>(peers),
          .seconds_per_byte = std::max(0.0, per_byte)};
}

StepSecondsModel predict_step(const StepCost& cost, int64_t ranks) {
  StepSecondsModel step{
      .compute = static_cast<double>(up(up(cost.leaves, ranks), cost.workers)) * cost.leaf_seconds,
      .exchange = 0,
      .update = cost.update_seconds / static_cast<double>(ranks),
      .other = cost.other_seconds};
  if (ranks == 1) return step;
  const auto peers = static_cast<double>(ranks - 1);
  // Each rank sends every other its slice of the sums, in rounds, and later its slice of the parameters to
  // all; in between goes one message of scalars, too short to have a size.
  const double bytes = 4.0 * static_cast<double>(cost.parameters) * peers / static_cast<double>(ranks);
  const auto passes = static_cast<double>(rounds_of_exchange(cost.leaves, ranks) + 1);
  step.exchange = passes * cost.link.seconds(static_cast<double>(cost.phases) * peers, bytes) +
                  cost.link.seconds(static_cast<double>(cost.phases) * peers, 0);
  return step;
}

}  // namespace elbo
