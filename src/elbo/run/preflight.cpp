#include "elbo/run/preflight.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "elbo/base/log.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

// The order of rows depends on the window: a run on another machine needs the same one.
void tell_of_windows(const RunConfig& config, const RowSource& rows) {
  const auto bytes = static_cast<double>(rows.rows() * rows.bytes_per_row());
  const auto window = static_cast<double>(config.data.shuffle_buffer_bytes);
  if (bytes > window)
    log::info(
        "{} of training rows are shuffled in windows of data.shuffle_buffer_bytes={} ({}); the same bits "
        "need that "
        "value",
        human_bytes(bytes), config.data.shuffle_buffer_bytes, human_bytes(window));
}

void tell_of_idle_ones(const RunConfig& config, Resources resources) {
  constexpr int64_t usual_batch = 128;  // a smaller one is that of a small data set
  const int64_t microbatches = config.microbatches(), threads = int64_t{resources.ranks} * resources.threads;
  const std::string why = fmt::format(
      "train.batch={} makes {} microbatches of train.microbatch={}; a larger batch or a smaller "
      "microbatch would employ them",
      config.train.batch, microbatches, config.train.microbatch);
  if (microbatches < resources.ranks)
    log::warning("{} of {} ranks have nothing to compute: {}", resources.ranks - microbatches,
                 resources.ranks, why);
  else if (microbatches < threads && (config.train.threads != "auto" || config.train.batch >= usual_batch))
    log::info("{} of {} cores have nothing to compute: {}, and give other bits", threads - microbatches,
              threads, why);
}

// A GPU computes microbatches one after another, and small ones leave most of it idle.
void tell_of_small_microbatches(const RunConfig& config, int64_t ranks) {
  constexpr int64_t filling = 512;  // rows
  const int64_t of_rank = config.train.batch / ranks;
  if (config.train.microbatch >= std::min(filling, of_rank) || config.train.batch % ranks != 0) return;
  log::info(
      "train.microbatch={} leaves most of a GPU idle: train.microbatch={} would make one microbatch of a "
      "rank's share of train.batch={}, with other bits",
      config.train.microbatch, of_rank, config.train.batch);
}

void warn_of_late_phases(const std::vector<Phase>& phases, int64_t end_step) {
  for (const Phase& phase : phases)
    if (phase.first_step >= end_step)
      log::warning("{} of the model is not trained: it begins at step {}, the run ends at {}", phase.name,
                   phase.first_step, end_step);
}

void warn_of_padding(const RunConfig& config, const RowSource& rows, const Model& model) {
  if (!model.uses_length() && rows.read({0}).length.defined())
    log::warning(
        "rows have a length, but model.name={} ignores it and will train on the padding; "
        "model.name=sequence_vae and vrnn leave it out",
        config.model->name());
}

// Terms that are estimated from the rows of a microbatch together, by the options that variants with them
// have, and the value with which there is no such term.
struct CoupledTerm {
  std::string_view key, none, term;
};
constexpr std::array<CoupledTerm, 4> coupled_terms{{{"model.estimator", "", "the total correlation"},
                                                    {"model.dip", "", "the covariance of z"},
                                                    {"model.kernel", "", "the MMD"},
                                                    {"model.free_bits", "0", "the KL of each dimension"}}};

// The total correlation of one encoder is estimated as 34 nats from 4 rows, 8 from 32 and 6.5 from 128, where
// it is 6.7.
void warn_of_small_microbatches(RunConfig& config) {
  constexpr int64_t enough_rows = 32;
  if (config.train.microbatch >= enough_rows) return;
  const OptionTable table = config.table();
  for (const CoupledTerm& coupled : coupled_terms)
    if (table.has(coupled.key) && table.value(coupled.key) != coupled.none)
      log::warning(
          "train.microbatch={}: {} is estimated within a microbatch ({}={}), and from fewer than {} rows "
          "badly; "
          "a larger train.microbatch helps",
          config.train.microbatch, coupled.term, coupled.key, table.value(coupled.key), enough_rows);
}

// They are data for training, and rarely what was meant.
void warn_of_unwritten_rows(const Dataset& dataset) {
  constexpr size_t shown = 4;
  const std::vector<std::string> all = dataset.unwritten_rows();
  for (size_t i = 0; i < std::min(shown, all.size()); ++i) log::warning("{}", all[i]);
  if (all.size() > shown)
    log::warning("{} more datasets have rows that read as the fill value", all.size() - shown);
}

}  // namespace

void preflight_warnings(RunConfig& config, const Dataset& dataset, const Model& model,
                        const std::vector<Phase>& phases, int64_t end_step, Resources resources) {
  const RowSource& rows = dataset.split("train");
  warn_of_unwritten_rows(dataset);
  tell_of_windows(config, rows);
  tell_of_idle_ones(config, resources);
  if (resources.on_gpu) tell_of_small_microbatches(config, resources.ranks);
  warn_of_late_phases(phases, end_step);
  warn_of_padding(config, rows, model);
  warn_of_small_microbatches(config);
}

}  // namespace elbo
