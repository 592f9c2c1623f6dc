#include "elbo/train/divergence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "elbo/base/error.h"
#include "elbo/base/log.h"

namespace elbo {
namespace {

constexpr const char* scale_data =
    "scale the data, as data.normalize=standardize does (counts: log1p, with model.likelihood=gaussian)";
constexpr double rate_of_averages = 0.02;  // about 50 steps
constexpr int64_t steps_before_spikes = 100;
constexpr double far_factor = 1e3;
constexpr int64_t far_steps = 100, far_steps_at_end = 5;
// Nats for each value of a row that are as far: values of a million times the likelihood's scale.
constexpr double hopeless_nats = 1e12;
// Nats of the first step for each value of a row, above which the data are out of the range in which networks
// start: a standard deviation above 1000 under a Gaussian of scale 1.
constexpr double nats_out_of_range = 1e6;

}  // namespace

bool Divergence::starts_out_of_range() const {
  if (!progress_.first_loss) return plan_.start.step == 0;  // no step had a finite loss
  return std::fabs(*progress_.first_loss) > nats_out_of_range * size_of_row();
}

void Divergence::note_first(const StepReport& report) {
  if (progress_.first_loss || !std::isfinite(report.loss)) return;
  progress_.first_loss = report.loss;
  if (starts_out_of_range())
    log::warning(
        "the loss of step {} is {:.3g}, {:.3g} for each value of a row: the data are far outside of the "
        "range in which a network starts; {}",
        progress_.step, report.loss, report.loss / size_of_row(), scale_data);
}

void Divergence::note_level(double loss) {
  const double level = progress_.loss_level.value_or(loss), spread = progress_.loss_spread.value_or(0);
  progress_.loss_spread = spread + rate_of_averages * (std::fabs(loss - level) - spread);
  progress_.loss_level = level + rate_of_averages * (loss - level);
}

double Divergence::loss_limit() const {
  if (plan_.spike_factor == 0 || progress_.step < steps_before_spikes || !progress_.loss_level)
    return std::numeric_limits<double>::infinity();
  return *progress_.loss_level + plan_.spike_factor * progress_.loss_spread.value_or(0);
}

void Divergence::count(const StepReport& report) {
  note_first(report);
  const bool at_end = progress_.step == plan_.end_step;
  nonfinite_in_a_row_ = report.finite ? 0 : nonfinite_in_a_row_ + 1;
  any_finite_ |= report.finite;
  // Skipped steps leave the parameters as they are: a run may end with some, but not consist of them.
  if (nonfinite_in_a_row_ > plan_.max_nonfinite_steps || (at_end && !any_finite_))
    fail_as_diverged(
        fmt::format(
            "at step {} {}{}", progress_.step,
            report.spike
                ? fmt::format("the loss is {:.3g}, far above {:.3g}, its usual value (train.spike_factor)",
                              report.loss, progress_.loss_level.value_or(0))
                : "the loss or its gradient is not finite",
            nonfinite_in_a_row_ > 1 ? fmt::format(", in {} steps in a row", nonfinite_in_a_row_) : ""),
        report);
  if (!report.finite || !progress_.first_loss || report.phase != plan_.phases.front().name) return;
  note_level(report.loss);
  const double limit = std::min(far_factor * (std::fabs(*progress_.first_loss) + size_of_row()),
                                hopeless_nats * size_of_row());
  far_in_a_row_ = report.loss > limit ? far_in_a_row_ + 1 : 0;
  // A shorter run ends with fewer steps after the first.
  const int64_t later_steps = plan_.end_step - std::max<int64_t>(plan_.start.step, 1);
  const int64_t allowed = at_end ? std::min(far_steps_at_end, later_steps) : far_steps;
  if (far_in_a_row_ > 0 && far_in_a_row_ >= allowed)
    fail_as_diverged(fmt::format("the loss is {:.3g} after step {}, and was {:.3g} at the start", report.loss,
                                 progress_.step, *progress_.first_loss),
                     report);
}

void Divergence::fail_for_parameters(const StepReport& last) const {
  fail_as_diverged(fmt::format("after step {} the parameters are not finite", progress_.step), last);
}

void Divergence::fail_as_diverged(const std::string& what, const StepReport& report) const {
  if (starts_out_of_range())
    throw Diverged(
        fmt::format("training diverged: {}; it was out of range before anything was learned, so no learning "
                    "rate helps: {} (the run is {})",
                    what, scale_data, plan_.directory),
        false);
  throw Diverged(
      fmt::format("training diverged: {}; lower optimizer.lr={:g}, set optimizer.clip_norm, or scale "
                  "the data (the run is {})",
                  what, report.lr, plan_.directory),
      true);
}

}  // namespace elbo
