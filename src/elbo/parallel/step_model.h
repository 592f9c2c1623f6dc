// A performance model of a training step on any number of ranks. Computation, communication and update add
// up. A message of n bytes takes α + n/β (Hockney 1994). All ranks are equally fast. The ranks of a node
// share its link to other nodes; there is no other contention. Several ranks a node exchange on two levels
// (levels.h). The reduce-scatter of the early buckets (all but the last of a phase) overlaps with the
// backward pass, and the all-gather of the same buckets with the next forward pass.
#pragma once
#include <cstdint>

namespace elbo {

// A network link.
struct Link {
  double latency = 0;           // α, seconds
  double seconds_per_byte = 0;  // 1/β
  double seconds(double messages, double bytes) const {
    return messages * latency + bytes * seconds_per_byte;
  }
};

struct StepCost {
  int64_t microbatches = 1;       // M
  int64_t node_ranks = 1;         // ranks a node; on fewer ranks there is one node
  int64_t workers = 1;            // per rank
  int64_t parameters = 0;         // float32 elements, all phases
  int64_t phases = 1;             // each with its own messages
  int64_t buckets = 1;            // of gradients, all phases; on more ranks they may be larger and fewer
  double early_fraction = 0;      // of the gradients that are in early buckets
  double microbatch_seconds = 0;  // computation of a microbatch on one worker
  double early_seconds = 0;       // computation that can overlap with early buckets, all phases
  double forward_seconds =
      0;                      // computation that can overlap with the all-gather of early buckets, all phases
  double update_seconds = 0;  // of all parameters by one rank
  double other_seconds = 0;   // per step: metrics, the loop
  Link link;                  // of a node to other nodes
  Link node_link{};           // of a rank to the others of its node; not used if node_ranks is 1
};

// Seconds of a step, by part.
struct StepSecondsModel {
  double compute = 0, communication = 0, update = 0, other = 0;
  double overlapped = 0;  // communication during `compute`; not part of `communication`
  double total() const { return compute + communication + update + other; }
};

// Rounds of messages of the reduce-scatter if `groups` ranks (or nodes) share the microbatches: the largest
// number of maximal subtrees that one of them has. 1 is optimal (docs/parallelism.md).
int64_t reduce_scatter_rounds(int64_t microbatches, int64_t groups);

// Predicts a step of cost.microbatches microbatches on `ranks` ranks, a multiple of cost.node_ranks or fewer.
StepSecondsModel predict_step(const StepCost& cost, int64_t ranks);

// Fits the link's bandwidth to the measured seconds of communication that did not overlap, on `ranks` ≥ 2
// ranks. latency: α, measured with empty messages.
Link fit_link(const StepCost& cost, int64_t ranks, double latency, double communication_seconds);

}  // namespace elbo
