// How the rows of a data set are transformed before the networks see them (data/transform.h): the decision.
// The fit to the training rows is run/fit_transform.h.
#pragma once
#include <string>

#include "elbo/comm/communicator.h"
#include "elbo/data/dataset.h"
#include "elbo/models/model.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"

namespace elbo {

struct Normalization {
  std::string kind;               // of data/transform.h
  bool in_unit_interval = false;  // the values are in [0, 1] then
  std::string why{};              // "" where nothing is to be said about it
};

// What data.normalize=auto becomes: it follows from a sample of the training rows and, for bytes, from all of
// them. counts: the likelihood is one of counts, which stay as they are. Collective.
Normalization choose_normalization(Communicator& world, const Dataset& data, bool counts, bool binarized);

// Resolves data.normalize and fits the transform to the training rows, or takes both from the checkpoint that
// the run continues from. Sets whether the values of the data set are in [0, 1]. The bits of shift and scale
// do not depend on the number of ranks. Collective.
Transform fit_normalization(Communicator& world, RunConfig& config, Dataset& data, const Checkpoint* start);

// Whether the values of a saved run's rows are in [0, 1].
bool saved_in_unit_interval(const RunConfig& config, const Checkpoint& checkpoint);

// The transform of a saved run, with buffers that load_into() fills.
Transform saved_transform(const RunConfig& config, const DataShape& data);

// Transforms the rows of the data set as the model needs them, and limits them to the values that it can
// explain.
void transform_rows(Dataset& data, const Model& model, RunConfig& config);

}  // namespace elbo
