#include "elbo/train/train.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/log.h"

namespace elbo {
namespace {

[[noreturn]] void fail_as_diverged(const RunPlan& plan, const StepReport& last, int64_t step,
                                   int64_t in_a_row) {
  fail(
      "training diverged: at step {} the loss, its gradient or the parameters are not finite{}; lower "
      "optimizer.lr={:g}, set optimizer.clip_norm, or scale the data (the run is {})",
      step, in_a_row > 1 ? fmt::format(", in {} steps in a row", in_a_row) : "", last.lr, plan.directory);
}

// Steps without a finite gradient change nothing; too many in a row end the run.
class NonfiniteSteps {
 public:
  explicit NonfiniteSteps(const RunPlan& plan) : plan_(plan) {}
  void count(int64_t step, const StepReport& report) {
    if (report.finite) {
      in_a_row_ = 0;
      return;
    }
    if (++in_a_row_ == 1) log::warning("step {} is skipped: the loss or its gradient is not finite", step);
    if (in_a_row_ > plan_.max_nonfinite_steps || step == plan_.end_step)
      fail_as_diverged(plan_, report, step, in_a_row_);
  }

 private:
  const RunPlan& plan_;
  int64_t in_a_row_ = 0;
};

// Whether this is the best so far; only the validation split decides that.
bool update_best(const Evaluation& evaluation, Progress& progress) {
  if (evaluation.split != "validation" || !std::isfinite(evaluation.loss)) return false;
  if (progress.best_loss && evaluation.loss >= *progress.best_loss) return false;
  progress.best_loss = evaluation.loss;
  progress.best_step = progress.step;
  return true;
}

}  // namespace

bool train(const RunPlan& plan, Progress& progress, DataParallelStep& step, const TrainInputs& inputs,
           MetricsWriter& metrics, CheckpointManager& checkpoints) {
  StepReport report;
  NonfiniteSteps nonfinite(plan);
  bool best = false;  // the parameters are the best so far, and not saved yet

  const auto evaluate = [&] {
    const std::optional<Evaluation> evaluation = inputs.evaluate();
    progress.evaluation_pending = !evaluation;
    if (evaluation) {
      best = update_best(*evaluation, progress);
      metrics.after_evaluation(progress.step, *evaluation, best);
    }
    return evaluation.has_value();
  };
  const auto collect = [&] {
    if (!step.finite()) fail_as_diverged(plan, report, progress.step, 1);
    Checkpoint checkpoint;
    static_cast<Progress&>(checkpoint) = progress;
    checkpoint.config = plan.ini;
    checkpoint.dataset_fingerprint = plan.dataset_fingerprint;
    checkpoint.data = plan.data;
    step.collect(checkpoint);
    return checkpoint;
  };
  const auto save = [&](bool must_succeed) {
    checkpoints.save(progress, std::exchange(best, false), must_succeed, collect);
  };
  const auto status = [&] {
    return RankStatus{inputs.stop_requested(), checkpoints.wants_checkpoint(), inputs.data_wait()};
  };

  bool stopped = progress.evaluation_pending && !evaluate();
  if (best) save(progress.step == plan.end_step);
  while (progress.step < plan.end_step && !stopped) {
    report = step.take(progress.step, inputs.data, status);
    ++progress.step;
    metrics.after_step(progress.step, report);
    nonfinite.count(progress.step, report);
    const bool evaluated = !plan.evaluation_due(progress.step) || evaluate();
    stopped = !evaluated || (report.stop && progress.step < plan.end_step);
    if (best || report.save || stopped || plan.checkpoint_due(progress.step))
      save(stopped || progress.step == plan.end_step);
  }
  metrics.finish();
  return stopped;
}

}  // namespace elbo
