#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/commands/rows_out.h"
#include "elbo/commands/samplers.h"
#include "elbo/run/device.h"

namespace elbo {
namespace {

struct SampleOptions : SavedRunOptions {
  int64_t n = 64;
  std::string label, vary = "none";
  SamplerOptions sampler;
  DrawOptions draw;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add("n", n, "number of samples", Range::between(1, 1 << 20));
    table.add(
        "label", label,
        "condition of the samples, for conditional models: a class by its name or number, or the values "
        "of a label separated by commas; empty: the classes in turn");
    table.add_number_or(
        "vary", vary, {"none"},
        "level of z that is sampled again for each sample; 0: the top, or the only one; levels above it are "
        "shared; levels below it keep their noise e, in z = mean + sigma e, and change with mean and sigma; "
        "none: each sample has an independent z",
        Range::between(0, 1 << 20));
    sampler.bind(table);
    table.add("fitted_rows", sampler.fitted_rows,
              "flow, gmm, two_stage: training rows at most whose codes the sampler is fitted to",
              Range::between(1, 1e9));
    draw.bind(table, "drawn; for images, volumes, video and interactions their mean");
    bind_run(table);
    bind_device(table);
    bind_threads(table);
    output.bind_rows(table, "the new rows");
    return table;
  }
  DataNeed need() const { return DataNeed::none; }
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

// Of pixels and of the items of users a sample says less than the probabilities.
Elements usual_elements(const DataShape& data) {
  return data.has_pixels() || data.kind == "interactions" ? Elements::mean : Elements::drawn;
}

void sample(const SampleOptions& options, const RunInUse& used) {
  const SavedRun& run = used.run;
  const torch::NoGradGuard no_grad;
  const Elements usual = usual_elements(run.checkpoint.data);
  const Elements how = options.draw.how(usual);
  RowsOut rows{.outputs = {{"x", run.checkpoint.data.x, true, how == Elements::mean}},
               .rows = options.n,
               .columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(options.n))))};
  if (options.vary != "none") {
    if (options.sampler.sampler != "prior")
      usage_error("--vary={}: samples levels of the prior; expected --sampler=prior", options.vary);
    RandomGenerator noise(options.draw.key("sample"), run.device);
    const torch::Tensor label = same_label(run, options.label, options.n);
    const torch::Tensor z = variations(*run.model, varied_level(*run.model, options.vary), options.n, noise);
    return write_decoded(options.output, used, options.threads, rows, z, label, options.draw, usual);
  }
  const torch::Tensor label = labels_for(run, options.label, options.n);
  if (label.defined()) rows.label = label;
  RowsWriter out(options.output, used, rows);  // before a sampler is fitted
  Workers workers(thread_count(options.threads, used.environment, run.device));
  const std::shared_ptr<const CodeSampler> sampler = open_sampler(options.sampler, used, workers);
  out.write(options.threads, [&](Model& model, int64_t microbatch, int64_t first, int64_t end) {
    const Key key = options.draw.key("sample").with(static_cast<uint64_t>(microbatch));
    RandomGenerator noise(key, run.device), elements(key.with("elements"), run.device);
    const torch::Tensor condition = label.defined() ? label.slice(0, first, end) : label;
    return std::vector{
        generate_rows(model, sampler.get(), end - first, condition,
                      {.how = how, .temperature = options.draw.temperature, .noise = &elements}, noise)};
  });
}

}  // namespace

Command sample_command() {
  return saved_run_command<SampleOptions>(
      {"sample",
       "RUN --out=FILE [--n=64] [--label=CLASS] [--sampler=prior] [--elements=drawn] [--vary=LEVEL]",
       "generates data: z from the prior or a fitted sampler, elements from p(x|z)",
       {}},
      RunWords::run, sample);
}

}  // namespace elbo
