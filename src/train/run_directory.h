// The folder of a run, as rank 0 prepares it.
#pragma once
#include <optional>

#include "train/checkpoint.h"
#include "train/config.h"

namespace elbo {

// Looks before anything is computed: what the run starts from, if it goes on. Throws a usage Error where the
// folder holds a run that it is not to go on with, or cannot be written. Changes nothing.
std::optional<Checkpoint> find_start(const RunConfig& config);

// Makes the folder and writes run.ini, the resolved configuration.
void prepare_run_directory(RunConfig& config);

}  // namespace elbo
