// What a user should hear before the first step, though it is no error.
#pragma once
#include <cstdint>
#include <vector>

#include "data/dataset.h"
#include "models/model.h"
#include "train/config.h"

namespace elbo {

// Logs it: data that are shuffled in windows, ranks that have nothing to compute, phases that the run does
// not reach, padding that the model takes for data. `rows` are those of the training split. For one rank to
// call.
void give_advice(const RunConfig& config, const RowSource& rows, const Model& model,
                 const std::vector<Phase>& phases, int64_t end_step, int ranks);

}  // namespace elbo
