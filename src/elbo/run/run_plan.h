// Everything that is decided before a run trains, with nothing started: the same on every rank. `elbo train
// --check` prints it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "elbo/data/dataset.h"
#include "elbo/models/model.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"

namespace elbo {

struct RunPlan {
  std::string ini;        // the resolved configuration, as run.ini and checkpoints keep it
  std::string directory;  // of the run
  std::string model;      // name of the variant
  DataShape data;
  std::string dataset_fingerprint;
  std::string evaluation_split;  // validation, else test; "": none
  int64_t rows = 0;              // of the training split, N
  int64_t batch = 0, microbatch = 0;
  int64_t parameters = 0;  // numbers in the model
  std::vector<Phase> phases;
  Progress start;        // where the run begins or continues
  int64_t end_step = 0;  // updates when it ends
  EvaluateOptions evaluate;
  CheckpointOptions checkpoint;
  OptimizerOptions optimizer;
  HookOptions hooks;
  std::string changes{};            // settings that change where the run continues (run.change)
  int64_t metrics_every = 1;        // steps between lines of metrics.jsonl
  int64_t max_nonfinite_steps = 0;  // consecutive ones before the run counts as diverged
  double spike_factor = 0;          // see Divergence::loss_limit(); 0: no step is a spike
  double lr_after_divergence = 0;   // factor of the learning rate after that; 0: the run ends
  int64_t check_every = 0;  // steps between DataParallelStep::find_damage(); 0: before checkpoints only
  bool dump_bad_rows = false;
  bool tensorboard = false;      // event files are written
  int64_t samples = 0;           // times in the run that samples are written; 0: never
  std::string cpu_dependence{};  // why bits depend on the CPU (run/cpu_bits.h); "": they do not
  std::string cpu{};             // which it is; "" where they do not

  int64_t microbatches() const { return batch / microbatch; }  // M of a step
  double epochs(int64_t step) const { return static_cast<double>(step * batch) / static_cast<double>(rows); }
  // Whether nothing is left to do: all steps were taken, or early stopping has ended the run.
  bool is_over(const Progress& progress) const {
    return progress.step >= end_step || (evaluate.patience > 0 && progress.stalled >= evaluate.patience);
  }
  // Factor of the schedule's learning rate: after divergence, and by the drops of a plateau.
  double lr_factor(const Progress& progress) const;
  // step: updates that were made.
  bool evaluation_due(int64_t step) const;
  bool checkpoint_due(int64_t step) const;  // by steps; by time CheckpointManager decides
  // Whether it is the first evaluation in its part of the run, of `samples` parts, or the last.
  bool samples_due(int64_t step) const;
  bool check_due(int64_t step) const { return check_every > 0 && step % check_every == 0; }
  bool metrics_due(int64_t step) const { return step % metrics_every == 0 || step == end_step; }
};

// `model`: built for the data set. start: the checkpoint that the run continues from. Throws usage Errors
// where that is another experiment's or the data set has changed, and where there are more steps than can be
// counted. weights_digest: of the weights with which rows are sampled, which are a part of the data set; "":
// none.
RunPlan make_plan(RunConfig& config, const Dataset& data, const Model& model,
                  const std::optional<Checkpoint>& start, const std::string& weights_digest = "");

// What the run would do, in a few lines for people.
std::string describe(const RunPlan& plan);

}  // namespace elbo
