#include "elbo/commands/sample_codes.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/index_range.h"
#include "elbo/commands/evaluate_measures.h"

namespace elbo {

void SamplerOptions::bind(OptionTable& table) {
  table.add_choice(
      "sampler", sampler, {"prior", "gmm"},
      "where codes z of samples come from; prior: p(z); gmm: a mixture of Gaussians that is fitted to the "
      "codes "
      "of training rows, once for a checkpoint, and kept in the folder samplers of the run; for models "
      "conditioned on a class a mixture for each class");
  table.add("components", components, "gmm: Gaussians of a mixture", Range::between(1, 1000));
}

std::shared_ptr<const CodeSampler> open_sampler(const SamplerOptions& options, const RunInUse& used,
                                                Workers& workers) {
  if (options.sampler == "prior") {
    if (options.components != SamplerOptions{}.components)
      usage_error("--components={}: has an effect on a fitted sampler only; add --sampler=gmm",
                  options.components);
    return nullptr;
  }
  if (const std::string why = used.run.model->why_codes_have_no_density(); !why.empty())
    usage_error(
        "--sampler={}: {} has no codes that a distribution can be fitted to, as {}; use --sampler=prior",
        options.sampler, used.run.config->model->name(), why);
  return open_mixture_sampler(options, used, workers);
}

torch::Tensor generate_rows(Model& model, const CodeSampler* sampler, int64_t n, const torch::Tensor& label,
                            const ElementChoice& choice, RandomGenerator& noise) {
  if (sampler == nullptr) return model.generate_rows(n, label, choice, noise);
  return model.decode_as(sampler->sample(n, label, noise), label, choice);
}

namespace {

// The run with its own data set, whatever the command itself reads.
SavedRun run_with_rows(const RunInUse& used) {
  SavedRun run = open_run(*used.world, used.run.directory, std::to_string(used.run.checkpoint.step), "",
                          DataNeed::rows, used.run.device);
  if (!run.dataset->has("train"))
    usage_error("{}: has no training rows, to whose codes a sampler is fitted; use --sampler=prior",
                run.config->data.path);
  if (run.model->conditional()) run.dataset->require_labels("train");
  return run;
}

// (b, latent) float64, on the CPU.
torch::Tensor code_sample(Model& model, const Batch& batch, Key key, torch::Device device) {
  RandomGenerator noise(key, device);
  const Latent code = model.encode(batch);
  torch::Tensor z = code.z;
  if (code.logvar) z = z + (0.5 * *code.logvar).exp() * noise.normal(z.sizes());
  return z.to(torch::kCPU, torch::kFloat64);
}

}  // namespace

TrainingCodes codes_of_training_rows(const RunInUse& used, Workers& workers, int64_t most) {
  constexpr int64_t rows_of_part = 1024;  // about
  const SavedRun run = run_with_rows(used);
  const std::vector<std::shared_ptr<Model>> models = run.replicas(workers.count());
  const std::vector<int64_t> ids = spread_ids(run.dataset->split("train").rows(), most);
  const int64_t count = std::ssize(ids), microbatch = run.config->evaluate.microbatch;
  const int64_t step = std::max<int64_t>(1, rows_of_part / microbatch) * microbatch;
  const int64_t parts = (count + step - 1) / step;
  const IndexRange own = partition({0, parts}, used.world->rank(), used.world->size());
  const Key key = Key(static_cast<uint64_t>(run.config->train.seed)).with("sampler");
  TrainingCodes codes{.points = {.parts = parts, .own = {}}, .labels = {}};
  codes.points.own.resize(static_cast<size_t>(own.size()));
  codes.labels.resize(static_cast<size_t>(own.size()));
  workers.run([&](int worker) {
    const torch::NoGradGuard no_grad;
    for (int64_t part = own.first + worker; part < own.end; part += workers.count()) {
      std::vector<torch::Tensor> z, labels;
      for (int64_t first = part * step; first < std::min((part + 1) * step, count); first += microbatch) {
        const Batch batch = run.rows("train", part_of(ids, first, std::min(first + microbatch, count)));
        z.push_back(code_sample(*models[static_cast<size_t>(worker)], batch,
                                key.with(static_cast<uint64_t>(first)), run.device));
        if (batch.label.defined()) labels.push_back(batch.label.cpu());
      }
      const auto place = static_cast<size_t>(part - own.first);
      codes.points.own[place] = torch::cat(z);
      if (!labels.empty()) codes.labels[place] = torch::cat(labels);
      if (!codes.points.own[place].isfinite().all().item<bool>())
        fail("{}: codes of its training rows are not finite: no sampler can be fitted to them",
             run.directory);
    }
  });
  return codes;
}

}  // namespace elbo
