// Warnings before the first step.
#pragma once
#include <cstdint>
#include <vector>

#include "elbo/data/dataset.h"
#include "elbo/models/model.h"
#include "elbo/run/config.h"

namespace elbo {

// What there is to compute with.
struct Resources {
  int ranks = 1;
  int threads = 1;  // of each rank, as far as it has microbatches for them
  bool on_gpu = false;
};

// Logs it: rows that were never written, data that are shuffled in windows, ranks and cores that have nothing
// to compute, microbatches that are small for a GPU, phases that the run does not reach, padding that the
// model takes for data. For one rank to call.
void preflight_warnings(RunConfig& config, const Dataset& dataset, const Model& model,
                        const std::vector<Phase>& phases, int64_t end_step, Resources resources);

}  // namespace elbo
