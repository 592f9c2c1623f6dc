// The exact fit of a transform (data/transform.h) to the training rows, in passes that the ranks share.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/data/batch.h"
#include "elbo/data/row_source.h"
#include "elbo/data/transform.h"

namespace elbo {

// The fit of `kind` to the rows, the same bits for every number of ranks. Collective.
Transform fit_transform(Communicator& world, const RowSource& rows, const DataShape& shape,
                        const std::string& kind);

// (n, …row) → (n', columns, …): the dimension of `fitted`, a fitted_shape(), in the middle.
torch::Tensor by_column(const torch::Tensor& x, const std::vector<int64_t>& fitted);

}  // namespace elbo
