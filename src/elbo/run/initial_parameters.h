// The first parameters of a run, taken from another run (train.init_from).
#pragma once
#include "elbo/comm/communicator.h"
#include "elbo/models/model.h"
#include "elbo/run/config.h"

namespace elbo {

// Copies parameters and buffers, but for the data's transform, of the newest checkpoint of train.init_from
// into the model: all, or those of train.init_modules. Where that run keeps a moving average, it is taken.
// Throws usage Errors where names or shapes differ. Collective.
void load_initial_parameters(Communicator& world, const RunConfig& config, Model& model);

}  // namespace elbo
