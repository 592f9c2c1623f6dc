#include "elbo/run/opened_run.h"

#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/random.h"
#include "elbo/comm/on_root.h"
#include "elbo/nn/kernels.h"
#include "elbo/run/broadcast_checkpoint.h"
#include "elbo/run/cpu_bits.h"
#include "elbo/run/device.h"
#include "elbo/run/initial_parameters.h"
#include "elbo/run/normalization.h"
#include "elbo/run/open_data.h"
#include "elbo/run/preflight.h"
#include "elbo/run/row_weights.h"
#include "elbo/run/table_columns.h"

namespace elbo {

std::shared_ptr<Model> build_model(const RunConfig& config, const DataShape& data, const Transform& transform,
                                   const Checkpoint* checkpoint, const std::string& where) {
  RandomGenerator init(Key(static_cast<uint64_t>(config.train.seed)).with("init"));
  std::shared_ptr<Model> model = config.model->build({data, config.network, config.model->name()}, init);
  model->set_transform(transform);
  if (checkpoint != nullptr) load_into(*model, *checkpoint, where);
  return model;
}

OpenedRun open_run_to_train(const Environment& environment, RunConfig& config, OpenPurpose purpose) {
  std::unique_ptr<Communicator> world = environment.make_world(config.run.timeout);
  const bool is_root = world->rank() == 0, trains = purpose == OpenPurpose::train;
  const torch::Device device = choose_device(config.train.device, "train.device", environment);
  prepare_device(device, {config.train.exact, config.train.kernels, config.train.precision});
  // Locked before the newest checkpoint is looked for: another process may be writing the next one.
  std::unique_ptr<RunLock> lock = is_root && trains ? lock_existing(config) : nullptr;
  std::optional<Checkpoint> start = broadcast_checkpoint(
      *world, on_root<std::optional<Checkpoint>>(*world, [&] { return find_start(config); }));
  Dataset dataset = open_data(config, environment, *world, start ? &*start : nullptr, trains);
  static_cast<void>(dataset.split("train"));  // if there is none, that is the error
  const Checkpoint* continued = start ? &*start : nullptr;
  settle_columns(*world, config, dataset, continued);
  const Transform transform = fit_normalization(*world, config, dataset, continued);
  std::shared_ptr<Model> model =
      build_model(config, dataset.shape(), transform, continued, config.directory());
  if (!start && !config.train.init_from.empty()) load_initial_parameters(*world, config, *model);
  transform_rows(dataset, *model, config);
  if (model->conditional()) {
    dataset.require_labels("train");
    for (const char* split : {"validation", "test"})
      if (dataset.has(split)) {
        dataset.require_labels(split);  // evaluated in training
        break;
      }
  }
  std::shared_ptr<const WeightedRows> weights = open_row_weights(*world, config.data, dataset);
  RunPlan plan = make_plan(config, dataset, *model, start, weights ? weights->digest() : "");
  if (device.is_cpu()) {
    const std::string found = is_root ? device_dependence(config, dataset, *model, plan) : "";
    plan.cpu_dependence = broadcast_text(*world, found, 0);
    plan.cpu = settle_cpu(*world, plan, start ? start->cpu : "");
  } else if (config.train.kernels == "portable" && is_root) {
    model->to(device);
    const std::string found = device_dependence(config, dataset, *model, plan);
    model->to(torch::kCPU);
    if (!found.empty()) log::info("bits depend on the kind of device: {}", found);
  }
  if (is_root)
    preflight_warnings(config, dataset, *model, plan.phases, plan.end_step,
                       {.ranks = world->size(),
                        .threads = thread_count(config.train.threads, environment, device),
                        .on_gpu = device.is_cuda()});
  if (plan.start.step >= plan.end_step) {
    log::info("{} is already at step {} of {}; raise train.steps or train.epochs to continue", plan.directory,
              plan.start.step, plan.end_step);
  } else if (plan.is_over(plan.start)) {
    log::info("{} was ended by early stopping at step {}; raise evaluate.patience={} to continue",
              plan.directory, plan.start.step, plan.evaluate.patience);
  }
  return {std::move(world),   std::move(lock),  std::move(start), device,
          std::move(dataset), std::move(model), std::move(plan),  std::move(weights)};
}

}  // namespace elbo
