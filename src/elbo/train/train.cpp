#include "elbo/train/train.h"

#include <cmath>
#include <limits>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/flight_recorder.h"
#include "elbo/base/log.h"
#include "elbo/eval/evaluation_metrics.h"
#include "elbo/train/bad_rows.h"
#include "elbo/train/damage_search.h"
#include "elbo/train/divergence.h"
#include "elbo/train/rank_times.h"
#include "elbo/train/symptoms.h"

namespace elbo {
namespace {

constexpr int most_setbacks = 3;  // by damaged memory, before the run ends

// Whether this is the best so far.
bool update_best(double loss, Progress& progress) {
  if (!std::isfinite(loss) || (progress.best_loss && loss >= *progress.best_loss)) return false;
  progress.best_loss = loss;
  progress.best_step = progress.step;
  return true;
}

// Counts evaluations without a gain.
void update_gain(double loss, double min_delta, Progress& progress) {
  ++progress.stalled;
  if (!std::isfinite(loss) || (progress.gain_loss && loss >= *progress.gain_loss - min_delta)) return;
  progress.gain_loss = loss;
  progress.stalled = 0;
}

class Loop {
 public:
  Loop(const RunPlan& plan, Progress& progress, DataParallelStep& step, const TrainInputs& inputs,
       MetricsWriter& metrics, CheckpointManager& checkpoints, RunEvents& events)
      : plan_(plan),
        progress_(progress),
        step_(step),
        inputs_(inputs),
        metrics_(metrics),
        checkpoints_(checkpoints),
        events_(events),
        divergence_(plan, progress),
        search_(step),
        rank_times_(inputs.places),
        symptoms_(rank_times_) {
    step_.set_lr_factor(plan_.lr_factor(progress_));
  }

  bool run() {
    const Doing doing(record_.main, "computes");
    stopped_ = progress_.evaluation_pending && !evaluate();
    if (best_) save(is_over());
    while (!is_over() && !stopped_) {
      try {
        take_step();
      } catch (const Diverged& error) {
        if (continue_with_lower_lr(error)) continue;
        checkpoints_.wait_for_writer();
        throw;
      }
    }
    metrics_.finish();
    return stopped_;
  }

 private:
  bool is_over() const { return plan_.is_over(progress_); }

  void take_step() {
    record_.step = progress_.step + 1;
    step_.set_loss_limit(divergence_.loss_limit());
    report_ = step_.take(progress_.step, inputs_.data, [&] {
      return RankStatus{.stop = inputs_.stop_requested(),
                        .save = checkpoints_.wants_checkpoint(),
                        .piece = checkpoints_.wants_piece(),
                        .data_wait = inputs_.data_wait()};
    });
    if (report_.piece) checkpoints_.send_piece();
    ++progress_.step;
    metrics_.after_step(progress_.step, report_);
    rank_times_.add(report_.ranks);
    if (is_root()) symptoms_.after_step(progress_.step, report_.ranks);
    if (!report_.finite) {
      report_bad_rows(plan_, step_, progress_.step, report_.spike);
      events_.after_skip(progress_.step);
    }
    // Damaged memory may be the reason.
    if ((!report_.finite || plan_.check_due(progress_.step)) && !is_sound()) return;
    divergence_.count(report_);
    const bool evaluated = !plan_.evaluation_due(progress_.step) || evaluate();
    stopped_ = !evaluated || (report_.stop && !is_over());
    if (best_ || report_.save || stopped_ || is_over() || plan_.checkpoint_due(progress_.step))
      save(stopped_ || is_over());
  }

  bool evaluate() {
    const Doing doing(record_.main, "evaluates");
    const std::optional<Evaluation> evaluation = inputs_.evaluate();
    progress_.evaluation_pending = !evaluation;
    if (evaluation) {
      best_ = evaluation->split == "validation" && decide_by(*evaluation);
      metrics_.after_evaluation(progress_.step, *evaluation, best_);
      if (is_root()) symptoms_.after_evaluation(progress_.step, *evaluation);
      events_.after_evaluation(progress_.step, *evaluation, best_);
      if (plan_.samples_due(progress_.step))
        metrics_.after_samples(progress_.step, inputs_.samples(progress_.step));
      report_decisions();
    }
    return evaluation.has_value();
  }

  // The best checkpoint, early stopping and the plateau follow from it. Whether it is the best so far.
  bool decide_by(const Evaluation& evaluation) {
    const double loss = lower_is_better(evaluation, plan_.evaluate.best);
    const bool counts = !divergence_.suspected();
    update_gain(counts ? loss : std::numeric_limits<double>::infinity(), plan_.evaluate.min_delta, progress_);
    const OptimizerOptions& optimizer = plan_.optimizer;
    const bool stalled = progress_.stalled > 0 && progress_.stalled % optimizer.schedule_patience == 0;
    if (optimizer.schedule == "plateau" && stalled &&
        optimizer.lr * plan_.lr_factor(progress_) * optimizer.gamma >= optimizer.min_lr) {
      ++progress_.lr_drops;
      step_.set_lr_factor(plan_.lr_factor(progress_));
      const double lr = optimizer.lr * plan_.lr_factor(progress_);
      log::info("{} evaluations without a gain: the learning rate is {:g} from here on", progress_.stalled,
                lr);
      events_.change_lr(progress_.step, lr, "plateau");
    }
    return counts && update_best(loss, progress_);
  }

  void report_decisions() const {
    if (is_over() && progress_.step < plan_.end_step)
      log::info(
          "early stopping: {} evaluations without a gain; the best was after step {} (checkpoints/best.h5)",
          progress_.stalled, progress_.best_step);
  }

  bool is_root() const { return step_.comm().rank() == 0; }

  // Nothing that is damaged is saved: then the run goes back.
  void save(bool must_succeed) {
    const Doing doing(record_.main, "saves a checkpoint");
    checkpoints_.wait_for_writer();
    if (!is_sound()) return;  // immediately before the copy
    checkpoints_.save(progress_, std::exchange(best_, false), must_succeed, [&] { return collect(); });
  }

  CollectedState collect() {
    if (!step_.finite()) divergence_.fail_for_parameters(report_);
    CollectedState state{.checkpoint = {}, .optimizer = step_.snapshot_optimizer()};
    if (is_root() && rank_times_.steps() > 0) state.rank_times = rank_times_.table();
    Checkpoint& checkpoint = state.checkpoint;
    static_cast<Progress&>(checkpoint) = progress_;
    checkpoint.config = plan_.ini;
    checkpoint.dataset_fingerprint = plan_.dataset_fingerprint;
    checkpoint.data = plan_.data;
    checkpoint.cpu = plan_.cpu;
    step_.collect(checkpoint);
    return state;
  }

  // Whether the memory of all ranks holds what it should; the run goes back where it does not.
  bool is_sound() {
    const std::string damage = search_.find(report_.finite && report_.phases > 0 ? progress_.step - 1 : -1);
    if (damage.empty()) return true;
    if (++setbacks_ > most_setbacks || !go_back(damage))
      fail("{}; nothing was saved since the last checkpoint; replace that host, and continue with --resume",
           damage);
    return false;
  }

  bool continue_with_lower_lr(const Diverged& error) {
    const double factor = plan_.lr_after_divergence;
    if (!error.lower_lr_helps() || factor == 0 || progress_.lr_factor || !go_back(error.what())) return false;
    log::warning("the learning rate is multiplied by {:g} from here on (train.lr_after_divergence)", factor);
    progress_.lr_factor = factor;
    step_.set_lr_factor(plan_.lr_factor(progress_));
    events_.change_lr(progress_.step, plan_.optimizer.lr * plan_.lr_factor(progress_), "divergence");
    return true;
  }

  // Back to the last checkpoint; whether there is one.
  bool go_back(const std::string& why) {
    checkpoints_.wait_for_writer();
    const std::optional<Progress> earlier = inputs_.go_back();
    if (!earlier) return false;
    log::warning("{}; the run goes back from step {} to its checkpoint of step {}", why, progress_.step,
                 earlier->step);
    events_.go_back(progress_.step, earlier->step, why);
    progress_ = *earlier;
    step_.set_lr_factor(plan_.lr_factor(progress_));
    metrics_.go_back(progress_);
    checkpoints_.go_back(progress_);
    divergence_.go_back();
    best_ = stopped_ = false;
    return true;
  }

  const RunPlan& plan_;
  Progress& progress_;
  DataParallelStep& step_;
  const TrainInputs& inputs_;
  MetricsWriter& metrics_;
  CheckpointManager& checkpoints_;
  RunEvents& events_;
  FlightRecord& record_ = FlightRecorder::instance().record();
  Divergence divergence_;
  DamageSearch search_;
  RankTimes rank_times_;  // since the start of the job
  Symptoms symptoms_;
  StepReport report_;
  bool best_ = false;  // the parameters are the best so far, and not saved yet
  bool stopped_ = false;
  int setbacks_ = 0;
};

}  // namespace

bool train(const RunPlan& plan, Progress& progress, DataParallelStep& step, const TrainInputs& inputs,
           MetricsWriter& metrics, CheckpointManager& checkpoints, RunEvents& events) {
  return Loop(plan, progress, step, inputs, metrics, checkpoints, events).run();
}

}  // namespace elbo
