#include "elbo/run/run_plan.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/sha256.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

std::string fingerprint_of(const Dataset& data, const std::string& weights_digest) {
  if (weights_digest.empty()) return data.fingerprint();
  const std::string both = data.fingerprint() + weights_digest;
  return sha256(both.data(), both.size());
}

void require_same_run(RunConfig& config, const std::string& fingerprint, const Checkpoint& start) {
  const std::string where = fmt::format("{}, step {}", config.directory(), start.step);
  require_same_experiment(config, *saved_config(start.config, where), where);
  if (start.dataset_fingerprint == fingerprint) return;
  if (!config.run.allow_data_change)
    usage_error(
        "data.path={}: is not the data set that {} was trained on; resume with that one, or with "
        "run.allow_data_change=true",
        config.data.path, where);
  log::warning(
      "data.path={}: is not the data set that {} was trained on; training continues, as "
      "run.allow_data_change "
      "says",
      config.data.path, where);
}

int64_t steps_of_run(const TrainOptions& train, int64_t rows) {
  if (train.steps > 0) return train.steps;
  if (static_cast<double>(train.epochs) * static_cast<double>(rows) > 1e18)
    usage_error("train.epochs={}: too many for {} rows; expected fewer", train.epochs, rows);
  return (train.epochs * rows + train.batch - 1) / train.batch;
}

// The learning rate follows the run's length where a cosine schedule ends with it.
void warn_of_moved_schedule(const RunConfig& config, const Checkpoint& start, int64_t rows) {
  const OptimizerOptions& optimizer = config.optimizer;
  const bool follows = optimizer.schedule == "cosine" || optimizer.schedule == "one_cycle";
  if (!follows || optimizer.schedule_steps > 0) return;
  const int64_t before = steps_of_run(saved_config(start.config, config.directory())->train, rows);
  const int64_t now = steps_of_run(config.train, rows);
  if (before != now)
    log::warning(
        "optimizer.schedule={} ends with the run, whose last step moves from {} to {}: the next learning "
        "rate "
        "is {:.3g} in place of {:.3g}; a run that begins with optimizer.schedule_steps keeps its schedule",
        optimizer.schedule, before, now, learning_rate(optimizer, start.step, now),
        learning_rate(optimizer, start.step, before));
}

// Throws a usage Error where a decision needs evaluations that the run does not make.
void require_evaluations(const RunConfig& config, const std::string& split, const DataShape& shape) {
  const EvaluateOptions& evaluate = config.evaluate;
  const auto require = [&](const std::string& setting) {
    if (split != "validation")
      usage_error("{}: needs a validation split; give one, or data.validation_fraction", setting);
    if (evaluate.every == "never")
      usage_error("{}: needs evaluations, and evaluate.every=never; use epoch or a number of steps", setting);
  };
  if (evaluate.patience > 0) require(fmt::format("evaluate.patience={}", evaluate.patience));
  if (config.optimizer.schedule == "plateau") require("optimizer.schedule=plateau");
  if (split != "validation") return;
  if (evaluate.best == "nll" && evaluate.importance_samples == 0)
    usage_error("evaluate.best=nll: needs evaluate.importance_samples, such as 100");
  if ((evaluate.best.starts_with("ndcg") || evaluate.best.starts_with("recall")) &&
      shape.kind != "interactions")
    usage_error("evaluate.best={}: ranks items, and rows are not interactions; use another, such as loss",
                evaluate.best);
}

}  // namespace

bool RunPlan::evaluation_due(int64_t step) const {
  if (evaluation_split.empty() || evaluate.every == "never") return false;
  if (step == end_step) return true;
  if (evaluate.every == "epoch") return step * batch / rows > (step - 1) * batch / rows;
  int64_t steps = 1;
  std::from_chars(evaluate.every.data(), evaluate.every.data() + evaluate.every.size(), steps);
  return step % steps == 0;
}

double RunPlan::lr_factor(const Progress& progress) const {
  return progress.lr_factor.value_or(1) * std::pow(optimizer.gamma, static_cast<double>(progress.lr_drops));
}

bool RunPlan::samples_due(int64_t step) const {
  if (samples == 0 || !evaluation_due(step)) return false;
  const auto part = [&](int64_t number) { return number * samples / end_step; };
  int64_t before = step - 1;
  while (before > 0 && !evaluation_due(before)) --before;
  return step == end_step || before == 0 || part(before) != part(step);
}

bool RunPlan::checkpoint_due(int64_t step) const {
  return step == end_step || (checkpoint.every_steps > 0 && step % checkpoint.every_steps == 0);
}

RunPlan make_plan(RunConfig& config, const Dataset& data, const Model& model,
                  const std::optional<Checkpoint>& start, const std::string& weights_digest) {
  const std::string fingerprint = fingerprint_of(data, weights_digest);
  if (start) require_same_run(config, fingerprint, *start);
  const int64_t rows = data.split("train").rows();
  if (start) warn_of_moved_schedule(config, *start, rows);
  int64_t parameters = 0;
  for (const torch::Tensor& parameter : model.parameters()) parameters += parameter.numel();
  const char* const evaluated = data.has("validation") ? "validation" : data.has("test") ? "test" : "";
  require_evaluations(config, evaluated, data.shape());
  return {.ini = config.saved_ini(),
          .directory = config.directory(),
          .model = config.model->name(),
          .data = data.shape(),
          .dataset_fingerprint = fingerprint,
          .evaluation_split = evaluated,
          .rows = rows,
          .batch = config.train.batch,
          .microbatch = config.train.microbatch,
          .parameters = parameters,
          .phases = model.phases(),
          .start = start ? Progress(*start) : Progress{},
          .end_step = steps_of_run(config.train, rows),
          .evaluate = config.evaluate,
          .checkpoint = config.checkpoint,
          .optimizer = config.optimizer,
          .hooks = config.hooks,
          .changes = start ? config.run.change : "",
          .metrics_every = config.run.metrics_every,
          .max_nonfinite_steps = config.train.max_nonfinite_steps,
          .spike_factor = config.train.spike_factor,
          .lr_after_divergence = config.train.lr_after_divergence,
          .check_every = config.run.check_every,
          .dump_bad_rows = config.run.dump_bad_rows,
          .tensorboard = config.run.tensorboard,
          .samples = config.run.samples};
}

std::string describe(const RunPlan& plan) {
  return fmt::format(
      "{} with {} parameters, on {} rows of shape {}\n"
      "{} steps of {} rows: {} microbatches of {}, so at most {} cores or GPUs work in parallel\n"
      "{} {}\n"
      "{}",
      plan.model, plan.parameters, plan.rows, shape_text(plan.data.x), plan.end_step, plan.batch,
      plan.microbatches(), plan.microbatch, plan.microbatches(),
      plan.start.step > 0 ? fmt::format("continues after step {} in", plan.start.step) : "begins in",
      plan.directory,
      plan.cpu_dependence.empty() ? "the same bits on every CPU"
                                  : "bits depend on the CPU: " + plan.cpu_dependence);
}

}  // namespace elbo
