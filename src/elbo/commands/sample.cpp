#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "elbo/commands/saved_run_command.h"
#include "elbo/eval/output.h"

namespace elbo {
namespace {

struct SampleOptions : SavedRunOptions {
  int64_t n = 64, seed = 0;
  std::string label, vary = "none";
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add("n", n, "number of samples", Range::between(1, 1 << 20));
    table.add("label", label,
              "condition of the samples, for conditional models: a class, or the values of a label separated "
              "by commas; empty: the classes in turn");
    table.add_number_or(
        "vary", vary, {"none"},
        "level of z that is sampled again for each sample; 0: the top, or the only one; levels above it are "
        "shared; levels below it keep their noise e, in z = mean + sigma e, and change with mean and sigma; "
        "none: each sample has an independent z",
        Range::between(0, 1 << 20));
    table.add("seed", seed, "seed of the random numbers", Range::at_least(0));
    bind_run(table);
    bind_device(table);
    output.bind(table, ".png (images; the middle slice of volumes), .txt (tokens), .h5 or .csv");
    return table;
  }
  DataNeed need() const { return writes_texts(output) ? DataNeed::rows : DataNeed::none; }
};

// The level of z that --vary names. Throws a usage Error where the model lacks it.
int64_t varied_level(const Model& model, const std::string& vary) {
  const auto levels = static_cast<int64_t>(model.levels().size());
  const int64_t level = std::stoll(vary);
  if (level >= levels)
    usage_error("--vary={}: the model's z has {} {}; expected {}", vary, levels,
                levels == 1 ? "level" : "levels", levels == 1 ? "0" : fmt::format("0 to {}", levels - 1));
  return level;
}

// One z for all samples, but for one of its levels.
torch::Tensor variations(Model& model, int64_t level, int64_t n, RandomGenerator& noise) {
  const torch::Tensor z = model.prior_sample(1, {}, noise);
  return model.resample(z.repeat({n, 1}), level, noise);
}

// The labels of `n` samples that differ in nothing but z.
torch::Tensor same_label(const SavedRun& run, const std::string& text, int64_t n) {
  const torch::Tensor label = labels_for(run, text, 1);
  return label.defined() ? label.repeat_interleave(n, 0) : label;
}

void sample(const SampleOptions& options, const RunInUse& used) {
  if (!used.is_root()) return;
  const SavedRun& run = used.run;
  check_rows_output(options.output, run.checkpoint.data);

  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(static_cast<uint64_t>(options.seed)).with("sample"), run.device);
  torch::Tensor z, label;
  if (options.vary == "none") {
    label = labels_for(run, options.label, options.n);
    z = run.model->prior_sample(options.n, label, noise);
  } else {
    label = same_label(run, options.label, options.n);
    z = variations(*run.model, varied_level(*run.model, options.vary), options.n, noise);
  }
  const torch::Tensor rows = run.model->decode(z, label);
  write_results(options.output, run, {{"x", rows}},
                static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(options.n)))));
}

}  // namespace

Command sample_command() {
  return saved_run_command<SampleOptions>(
      {"sample",
       "RUN --out=FILE [--n=64] [--label=K] [--vary=LEVEL]",
       "generates data: the mean of the decoder at samples from the prior",
       {}},
      RunWords::run, sample);
}

}  // namespace elbo
