// How the rows of a data set are transformed before the networks see them (data/transform.h): the decision,
// and the exact fit of the transform to the training rows.
#pragma once
#include <string>

#include "elbo/comm/communicator.h"
#include "elbo/data/dataset.h"
#include "elbo/models/model.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"

namespace elbo {

// The values of up to 1024 rows, spread over all of them, at most 16 MiB: (n, …row), or, where values are
// missing, those that are observed, (n).
torch::Tensor sample_values(const RowSource& rows, int64_t features);

struct Normalization {
  std::string kind;               // of data/transform.h
  bool in_unit_interval = false;  // the values are in [0, 1] then
  std::string why{};              // "" where nothing is to be said about it
};

// What data.normalize=auto becomes: it follows from a sample of the training rows and, for bytes, from all of
// them. counts: the likelihood is one of counts, which stay as they are. For one rank to call.
Normalization choose_normalization(const Dataset& data, bool counts, bool binarized);

// Resolves data.normalize and fits the transform to the training rows, or takes both from the checkpoint that
// the run continues from. Sets whether the values of the data set are in [0, 1]. The bits of shift and scale
// do not depend on the number of ranks. Collective.
Transform fit_normalization(Communicator& world, RunConfig& config, Dataset& data, const Checkpoint* start);

// The fit of `kind` to the rows, the same bits for every number of ranks. Collective.
Transform fit_transform(Communicator& world, const RowSource& rows, const DataShape& shape,
                        const std::string& kind);

// Whether the values of a saved run's rows are in [0, 1].
bool saved_in_unit_interval(const RunConfig& config, const Checkpoint& checkpoint);

// The transform of a saved run, with buffers that load_into() fills.
Transform saved_transform(const RunConfig& config, const DataShape& data);

// Transforms the rows of the data set as the model needs them, and limits them to the values that it can
// explain.
void transform_rows(Dataset& data, const Model& model, const RunConfig& config);

}  // namespace elbo
