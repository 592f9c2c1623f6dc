// How fast ranks exchange gradients and parameters, in the terms of nccl-tests (doc/PERFORMANCE.md there).
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/parallel/levels.h"
#include "elbo/parallel/step_model.h"

namespace elbo {

// Medians, in seconds on rank 0, for a buffer of `bytes` that all ranks reduce and gather.
struct ExchangeSeconds {
  int64_t bytes = 0;
  double reduce_scatter = 0, all_gather = 0;
};

// The reduce-scatter of the training step, of one microbatch a rank, and its all-gather. Collective.
std::vector<ExchangeSeconds> measure_exchange(const Levels& levels, const std::vector<int64_t>& bytes,
                                              int64_t rounds);

// Latency of a message to one peer, in seconds: α of the model. Collective; two ranks or more.
double measure_latency(Communicator& comm, int64_t rounds);
// α, and 1/β from an all-gather of some MiB. Collective; two ranks or more.
Link measure_link(Communicator& comm, int64_t rounds);

// Algorithm bandwidth is bytes / seconds. Bus bandwidth is that times (ranks - 1) / ranks: what each rank has
// sent and received a second, to be compared with the speed of its link.
void print_exchange(const std::vector<ExchangeSeconds>& measured, int64_t ranks);
nlohmann::ordered_json exchange_json(const std::vector<ExchangeSeconds>& measured, int64_t ranks);

}  // namespace elbo
