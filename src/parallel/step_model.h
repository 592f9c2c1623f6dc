// How long a step takes, and would take on other numbers of ranks: computation, exchange and update add up,
// and a message of n bytes takes α + n/β (Hockney 1994). Ranks are alike, each has a link of its own, and
// nothing of the exchange is hidden behind computation.
#pragma once
#include <cstdint>

namespace elbo {

// What moving bytes to one peer takes.
struct Link {
  double latency = 0;           // α, seconds
  double seconds_per_byte = 0;  // 1/β
  double seconds(double messages, double bytes) const {
    return messages * latency + bytes * seconds_per_byte;
  }
};

struct StepCost {
  int64_t leaves = 1;         // M
  int64_t workers = 1;        // of a rank
  int64_t parameters = 0;     // float32 numbers that travel, all phases
  int64_t phases = 1;         // each of which exchanges
  double leaf_seconds = 0;    // a leaf on one worker
  double update_seconds = 0;  // all parameters, by one rank
  double other_seconds = 0;   // of each step: metrics, the loop
  Link link;
};

struct StepSecondsModel {
  double compute = 0, exchange = 0, update = 0, other = 0;
  double total() const { return compute + exchange + update + other; }
};

// Of a step of `cost.leaves` leaves on so many ranks.
StepSecondsModel predict_step(const StepCost& cost, int64_t ranks);

// The link that explains an exchange of `exchange_seconds` between so many ranks, at least two, where a
// message without content takes `latency` seconds: what is left of the exchange went into its bytes.
Link fit_link(const StepCost& cost, int64_t ranks, double latency, double exchange_seconds);

}  // namespace elbo
