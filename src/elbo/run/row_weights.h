// The weights with which training rows are sampled (data.weights).
#pragma once
#include <memory>

#include "elbo/comm/communicator.h"
#include "elbo/data/data_options.h"
#include "elbo/data/dataset.h"
#include "elbo/data/weighted_rows.h"

namespace elbo {

// From the dataset that options.weights names, or from the classes; null where it is empty. Throws a usage
// Error for weights that are missing, not one number a row, negative or not finite, and for rows without a
// class. Collective; the same on every rank.
std::shared_ptr<const WeightedRows> open_row_weights(Communicator& world, const DataOptions& options,
                                                     const Dataset& data);

}  // namespace elbo
