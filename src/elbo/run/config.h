// The configuration of a run: every option in one struct, strict, and written down resolved.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/data/dataset.h"
#include "elbo/eval/evaluate.h"
#include "elbo/models/registry.h"
#include "elbo/nn/networks.h"
#include "elbo/optim/optimizer.h"

namespace elbo {

struct TrainOptions {
  int64_t steps = 0;       // 0: as many as `epochs` takes
  int64_t epochs = 10;     // 0: `steps` counts
  int64_t batch = 128;     // B: samples a step over all ranks
  int64_t microbatch = 0;  // m; 0: min(batch, 64)
  int64_t seed = 1;
  std::string device = "auto";         // auto | cpu | cuda
  std::string threads = "auto";        // worker threads a rank; auto: cores of the node / its ranks
  std::string precision = "float32";   // of the products in layers: float32 | tf32 | bfloat16
  std::string kernels = "auto";        // that compute on CPUs: auto | portable | library
  std::string communication = "auto";  // auto | mpi | nccl: what moves gradients and parameters
  int64_t bucket_bytes = 1 << 20;      // size of a gradient bucket
  bool exact = true;
  int64_t max_nonfinite_steps =
      10;                    // consecutive steps without a finite gradient before the run counts as diverged
  std::string init_from;     // run whose parameters are the first ones
  std::string init_modules;  // prefixes of their names; "": all
  double spike_factor = 0;
  double lr_after_divergence = 0.1;  // factor of the learning rate from the last checkpoint on; 0: end
  void bind(OptionTable& table);
};

struct EvaluateOptions {
  std::string every = "epoch";  // epoch | never | a number of steps
  std::string best = "loss";    // the metric in which the best checkpoint is the best
  int64_t patience = 0;         // evaluations without a gain after which the run ends; 0: it does not
  double min_delta = 0;         // what counts as a gain
  int64_t importance_samples = 0;
  int64_t microbatch = 128;
  std::string metrics = "auto";  // that `elbo evaluate` adds: auto | none | a list
  void bind(OptionTable& table);
};

struct CheckpointOptions {
  int64_t every_steps = 1000;  // 0: none but the last
  double every_minutes = 0;    // 0: never by time
  int64_t keep_last = 3;       // newest ones kept; 0: all
  int64_t keep_every = 0;      // steps whose multiples are always kept; 0: none
  void bind(OptionTable& table);
};

struct RunOptions {
  std::string directory;         // "": runs/NAME
  std::string name;              // "": the model's
  std::string resume = "never";  // never | auto
  std::string change;            // settings of the optimiser that change when the run is resumed
  bool allow_data_change = false;
  std::string time_limit = "auto";
  double timeout = 600;       // seconds that any wait for other ranks may take
  int64_t metrics_every = 1;  // steps between lines of metrics.jsonl
  int64_t check_every = 100;  // steps between comparisons of the ranks' memory; 0: before checkpoints only
  bool dump_bad_rows = false;
  bool tensorboard = true;
  int64_t samples = 50;  // times in the run that samples are written
  void bind(OptionTable& table);
};

// Shell commands that get a JSON object on their standard input (train/hooks.h); "": none.
struct HookOptions {
  std::string on_evaluation, on_checkpoint, on_end;
  void bind(OptionTable& table);
};

class RunConfig {
 public:
  DataOptions data;
  std::unique_ptr<ModelSpec> model;
  NetworkOptions network;
  OptimizerOptions optimizer;
  TrainOptions train;
  EvaluateOptions evaluate;
  CheckpointOptions checkpoint;
  RunOptions run;
  HookOptions hooks;

  int64_t microbatches() const { return train.batch / train.microbatch; }  // M
  std::string directory() const;
  // How the run's model is evaluated on a split of such data, with K importance samples.
  EvaluationOptions evaluation(const DataShape& shape, const std::string& split,
                               int64_t importance_samples) const;
  OptionTable table();  // bound to this object
  // The resolved configuration, as run.ini and checkpoints keep it. run.resume is `never` there: to resume is
  // a wish for one start, not a property of the run.
  std::string saved_ini();

 private:
  std::string model_name_;  // the table's copy of model->name()
};

// The measures that `text`, the value of evaluate.metrics or --metrics, asks for by name; none for auto and
// none. Throws a usage Error for an unknown name.
std::vector<std::string> named_measures(const std::string& option, const std::string& text);

// Whether an option of a run is a flag; model.* may be an option of any variant.
OptionKind run_option_kind(const std::string& key);

// Reads `ini` (text; `name` is its file's, for messages), then `overrides` from the command line, which win.
// Unknown keys, values out of range, combinations that do not fit and settings without effect are usage
// Errors. Resolves train.microbatch, and which of train.steps and train.epochs counts.
std::unique_ptr<RunConfig> parse_config(const std::string& ini, const std::string& name,
                                        const std::vector<Setting>& overrides);

// The configuration that elbo wrote down, in a checkpoint or run.ini; options that were renamed since are
// taken by their old names, and settings without effect are none of the user's. `name` is the run's, for
// messages.
std::unique_ptr<RunConfig> saved_config(const std::string& ini, const std::string& name,
                                        const std::vector<Setting>& overrides = {});

// Whether the bits of a run's parameters depend on the option. Its length, resources, cadence and paths may
// change when it is resumed.
bool decides_results(const std::string& key);

// The settings in run.change. Throws a usage Error for those that cannot change during a run.
std::vector<Setting> changed_settings(const RunConfig& config);

// Throws a usage Error that names the first option that decides results and differs, but for those that
// run.change names.
void require_same_experiment(RunConfig& now, RunConfig& before, const std::string& where);

}  // namespace elbo
