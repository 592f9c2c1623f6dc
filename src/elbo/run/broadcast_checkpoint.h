// A checkpoint that rank 0 has read, on every rank.
#pragma once
#include <torch/nn/module.h>

#include <optional>
#include <string>

#include "elbo/comm/communicator.h"
#include "elbo/hdf5/storage.h"
#include "elbo/run/checkpoint.h"

namespace elbo {

// Collective. `read` matters on rank 0 only; every rank gets it, or none where rank 0 has none.
std::optional<Checkpoint> broadcast_checkpoint(Communicator& comm, std::optional<Checkpoint> read);

// Rank 0 computes, all get the result: for a data set that all ranks open (data/dataset.h).
ComputeOnRoot compute_on_root(Communicator& comm);

// Copies parameters and buffers into a model. Throws a usage Error that names the first tensor whose name or
// shape differs: a checkpoint of another model. `where` names the checkpoint.
void load_into(torch::nn::Module& model, const Checkpoint& checkpoint, const std::string& where);

}  // namespace elbo
