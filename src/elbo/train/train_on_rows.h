// Trains a model on rows that every rank has in memory, without a run: no files, no evaluation. The same bits
// for every number of ranks and workers.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/data/batch.h"
#include "elbo/models/model.h"
#include "elbo/optim/optimizer.h"
#include "elbo/parallel/workers.h"

namespace elbo {

struct RowTraining {
  int64_t steps = 0;
  int64_t batch = 256, microbatch = 64;
  uint64_t seed = 0;
  OptimizerOptions optimizer{};
};

// replicas: a model for each worker, with equal parameters, on the CPU; they have the trained parameters
// afterwards. rows: x and perhaps label, the same on every rank; each epoch is a permutation of them. Returns
// the mean loss of the last tenth of the steps, nats per row. Throws Error where it is not finite.
// Collective.
double train_on_rows(Communicator& world, Workers& workers,
                     const std::vector<std::shared_ptr<Model>>& replicas, const Batch& rows,
                     const RowTraining& how);

}  // namespace elbo
