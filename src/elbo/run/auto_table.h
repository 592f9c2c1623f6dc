// Settings for tables, where nothing but the data is given.
#pragma once
#include "elbo/comm/communicator.h"
#include "elbo/data/dataset.h"
#include "elbo/run/choices.h"

namespace elbo {

// The model, its likelihood by what the columns hold, its latent size by the variance that principal
// components explain. Rows are (features). warmup_steps: for the models that need some. Collective.
void choose_table(Choices& choices, Communicator& world, const Dataset& data, int64_t warmup_steps);

}  // namespace elbo
