// A run opened to train or to say what it would do: its world, where it continues from, its data, its plan.
#pragma once
#include <memory>
#include <optional>

#include "elbo/comm/communicator.h"
#include "elbo/comm/environment.h"
#include "elbo/data/dataset.h"
#include "elbo/data/weighted_rows.h"
#include "elbo/models/model.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"
#include "elbo/run/run_directory.h"
#include "elbo/run/run_plan.h"

namespace elbo {

struct OpenedRun {
  std::unique_ptr<Communicator> world;
  std::unique_ptr<RunLock> lock;    // the root's, where the run's folder exists; none for a check
  std::optional<Checkpoint> start;  // that the run continues from; drop it once its tensors are used
  torch::Device device = torch::kCPU;
  Dataset dataset;
  std::shared_ptr<Model> model;  // on the CPU, with the initial parameters or those of `start`
  RunPlan plan;
  std::shared_ptr<const WeightedRows> weights;  // with which training rows are sampled, or null
};

// Opens and checks everything, and logs warnings that matter before the first step; writes nothing, but
// copies data to data.stage where `purpose` is to train. Resolves data.shuffle_buffer_bytes,
// model.likelihood_columns and data.normalize. Throws usage Errors. Collective.
enum class OpenPurpose { train, check };
OpenedRun open_run_to_train(const Environment& environment, RunConfig& config, OpenPurpose purpose);

// A model as the configuration says, on the CPU, with parameters drawn from the seed, and with `transform`;
// or with the parameters and buffers of `checkpoint`, if not null. `where` names the run.
std::shared_ptr<Model> build_model(const RunConfig& config, const DataShape& data, const Transform& transform,
                                   const Checkpoint* checkpoint, const std::string& where);

}  // namespace elbo
