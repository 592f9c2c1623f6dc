// The data set of a run, opened by all its ranks.
#pragma once
#include "elbo/comm/communicator.h"
#include "elbo/comm/environment.h"
#include "elbo/data/dataset.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"

namespace elbo {

// Collective. With the window that the run began with (start), or begins with now: then
// data.shuffle_buffer_bytes is set to it. stage: copies to data.stage first, where that names a folder. Ranks
// of a host share what they can.
Dataset open_data(RunConfig& config, const Environment& environment, Communicator& host,
                  const Checkpoint* start, bool stage);

}  // namespace elbo
