// When training counts as diverged: too many steps in a row whose loss or gradient is not finite, no other
// step at all, or a loss far above that of the first step.
#pragma once
#include <cstdint>
#include <string>

#include "elbo/base/error.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/run_plan.h"
#include "elbo/train/data_parallel_step.h"

namespace elbo {

// Training has diverged.
class Diverged : public Error {
 public:
  Diverged(const std::string& message, bool lower_lr_helps)
      : Error(ExitCode::failure, message), lower_lr_helps_(lower_lr_helps) {}
  bool lower_lr_helps() const { return lower_lr_helps_; }

 private:
  bool lower_lr_helps_;
};

// A loss is far above the first one, L, if it exceeds 1000 (|L| + d) nats for rows of d values, or 1e12 d. No
// healthy run comes near that, and a single bad row does not stay: a run has diverged after 100 such steps in
// a row, or if it ends with 5 of them. Only the first of the model's phases is compared: others have losses
// of another kind.
class Divergence {
 public:
  // Both outlive the object. progress.first_loss is kept up to date.
  Divergence(const RunPlan& plan, Progress& progress)
      : plan_(plan), progress_(progress), any_finite_(plan.start.step > 0) {}

  // After each step. Throws Diverged, with the advice that fits, where training has diverged. Takes the same
  // decision on every rank.
  void count(const StepReport& report);
  // Above it the loss of the next step is a spike, and the step is skipped: the moving average of the loss,
  // plus plan.spike_factor times that of its distance from it. Infinite in the first 100 steps, and without a
  // factor.
  double loss_limit() const;
  // Throws Diverged: the parameters are not finite.
  [[noreturn]] void fail_for_parameters(const StepReport& last) const;
  // The run continues from an earlier step.
  void go_back() { nonfinite_in_a_row_ = far_in_a_row_ = 0; }
  // Whether the last step was not finite or far above the first: its parameters are not the best.
  bool suspected() const { return nonfinite_in_a_row_ + far_in_a_row_ > 0; }

 private:
  double size_of_row() const { return static_cast<double>(plan_.data.features()); }
  bool starts_out_of_range() const;
  void note_first(const StepReport& report);
  void note_level(double loss);
  [[noreturn]] void fail_as_diverged(const std::string& what, const StepReport& report) const;

  const RunPlan& plan_;
  Progress& progress_;
  int64_t nonfinite_in_a_row_ = 0, far_in_a_row_ = 0;
  bool any_finite_;  // step of the run so far
};

}  // namespace elbo
