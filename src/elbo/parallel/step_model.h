// How long a step takes, and would take on other numbers of ranks: computation, exchange and update add up,
// and a message of n bytes takes α + n/β (Hockney 1994). Ranks are alike, and each has a link of its own.
// All buckets of gradients (buckets.h) but the last can travel while the backward pass goes on.
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
  int64_t microbatches = 1;         // M
  int64_t workers = 1;        // of a rank
  int64_t parameters = 0;     // float32 numbers that travel, all phases
  int64_t phases = 1;         // each of which exchanges
  int64_t buckets = 1;        // of gradients, all phases; more ranks may make them larger and fewer
  double early_share = 0;     // of the gradients: all but each phase's last bucket
  double microbatch_seconds = 0;    // a leaf on one worker
  double early_seconds = 0;   // of computation in which those can travel, all phases
  double update_seconds = 0;  // all parameters, by one rank
  double other_seconds = 0;   // of each step: metrics, the loop
  Link link;
};

struct StepSecondsModel {
  double compute = 0, exchange = 0, update = 0, other = 0;
  double hidden = 0;  // of the exchange, behind computation; not a part of `exchange`
  double total() const { return compute + exchange + update + other; }
};

// Of a step of `cost.leaves` leaves on so many ranks.
StepSecondsModel predict_step(const StepCost& cost, int64_t ranks);

// The link that explains what an exchange between so many ranks, at least two, takes beyond what is hidden,
// where a message without content takes `latency` seconds.
Link fit_link(const StepCost& cost, int64_t ranks, double latency, double exchange_seconds);

}  // namespace elbo
