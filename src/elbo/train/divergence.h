// When training counts as diverged: too many steps in a row whose loss or gradient is not finite, or whose
// loss is far above that of the first step.
#pragma once
#include <cstdint>
#include <string>

#include "elbo/run/checkpoint.h"
#include "elbo/run/run_plan.h"
#include "elbo/train/data_parallel_step.h"

namespace elbo {

// A loss is far above the first one, L, if it exceeds 1000 (|L| + d) nats for rows of d values, or 1e12 d. No
// healthy run comes near that, and a single bad row does not stay: a run has diverged after 100 such steps in
// a row, or if it ends with 5 of them. Only the first of the model's phases is compared: others have losses
// of another kind.
class Divergence {
 public:
  // Both outlive the object. progress.first_loss is kept up to date.
  Divergence(const RunPlan& plan, Progress& progress) : plan_(plan), progress_(progress) {}

  // After each step. Throws Error, with the advice that fits, where training has diverged. Takes the same
  // decision on every rank.
  void count(const StepReport& report);
  // Throws Error: the parameters are not finite.
  [[noreturn]] void fail_for_parameters(const StepReport& last) const;
  // Whether the last step was not finite or far above the first: its parameters are not the best.
  bool suspected() const { return nonfinite_in_a_row_ + far_in_a_row_ > 0; }

 private:
  double size_of_row() const { return static_cast<double>(plan_.data.features()); }
  bool starts_out_of_range() const;
  void note_first(const StepReport& report);
  [[noreturn]] void fail_as_diverged(const std::string& what, const StepReport& report) const;

  const RunPlan& plan_;
  Progress& progress_;
  int64_t nonfinite_in_a_row_ = 0, far_in_a_row_ = 0;
};

}  // namespace elbo
