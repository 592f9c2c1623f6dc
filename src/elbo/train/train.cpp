#include "elbo/train/train.h"

#include <cmath>
#include <utility>

#include "elbo/train/divergence.h"

namespace elbo {
namespace {

// Whether this is the best so far; only the validation split decides that.
bool update_best(const Evaluation& evaluation, const std::string& best, Progress& progress) {
  const double loss = best == "ndcg_100" ? -evaluation.ndcg_100.value_or(0) : evaluation.loss;
  if (evaluation.split != "validation" || !std::isfinite(loss)) return false;
  if (progress.best_loss && loss >= *progress.best_loss) return false;
  progress.best_loss = loss;
  progress.best_step = progress.step;
  return true;
}

}  // namespace

bool train(const RunPlan& plan, Progress& progress, DataParallelStep& step, const TrainInputs& inputs,
           MetricsWriter& metrics, CheckpointManager& checkpoints) {
  StepReport report;
  Divergence divergence(plan, progress);
  bool best = false;  // the parameters are the best so far, and not saved yet

  const auto evaluate = [&] {
    const std::optional<Evaluation> evaluation = inputs.evaluate();
    progress.evaluation_pending = !evaluation;
    if (evaluation) {
      best = !divergence.suspected() && update_best(*evaluation, plan.evaluate.best, progress);
      metrics.after_evaluation(progress.step, *evaluation, best);
    }
    return evaluation.has_value();
  };
  const auto collect = [&] {
    if (!step.finite()) divergence.fail_for_parameters(report);
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
    divergence.count(report);
    const bool evaluated = !plan.evaluation_due(progress.step) || evaluate();
    stopped = !evaluated || (report.stop && progress.step < plan.end_step);
    if (best || report.save || stopped || plan.checkpoint_due(progress.step))
      save(stopped || progress.step == plan.end_step);
  }
  metrics.finish();
  return stopped;
}

}  // namespace elbo
