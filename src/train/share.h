// A checkpoint that rank 0 has read, on every rank.
#pragma once
#include <torch/nn/module.h>

#include <optional>
#include <string>

#include "comm/communicator.h"
#include "train/checkpoint.h"

namespace elbo {

// Collective; `read` counts on rank 0 only. None on every rank where rank 0 has none.
std::optional<Checkpoint> share(Communicator& comm, std::optional<Checkpoint> read);

// Copies parameters and buffers into a model. Throws a usage Error that names the first tensor whose name or
// shape differs: a checkpoint of another model. `where` names the checkpoint.
void load_into(torch::nn::Module& model, const Checkpoint& checkpoint, const std::string& where);

}  // namespace elbo
