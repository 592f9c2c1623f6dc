// Missing values of the training rows (data.missing=mask).
#pragma once
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/data/dataset.h"
#include "elbo/data/missing_values.h"

namespace elbo {

// Exact counts over all rows, whose batches have a mask. Collective.
std::vector<ColumnCount> count_missing(Communicator& world, const RowSource& rows, const DataShape& shape);

// Reports the missing values of the training rows. Throws a usage Error that names a column without an
// observed value. Collective.
void require_observed_columns(Communicator& world, const Dataset& data);

}  // namespace elbo
