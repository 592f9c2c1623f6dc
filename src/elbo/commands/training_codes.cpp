#include "elbo/commands/training_codes.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/index_range.h"
#include "elbo/base/text.h"
#include "elbo/commands/evaluate_measures.h"

namespace elbo {
namespace {

// (b, latent) float64, on the CPU.
torch::Tensor code_sample(Model& model, const Batch& batch, Key key, torch::Device device) {
  RandomGenerator noise(key, device);
  const Latent code = model.encode(batch);
  torch::Tensor z = code.z;
  if (code.logvar) z = z + (0.5 * *code.logvar).exp() * noise.normal(z.sizes());
  return z.to(torch::kCPU, torch::kFloat64);
}

}  // namespace

SavedRun run_with_training_rows(const RunInUse& used) {
  SavedRun run = open_run(*used.world, used.run.directory, std::to_string(used.run.checkpoint.step), "",
                          DataNeed::rows, used.run.device);
  if (!run.dataset->has("train"))
    usage_error("{}: has no training rows, to whose codes a sampler is fitted; use --sampler=prior",
                run.config->data.path);
  if (run.model->conditional()) run.dataset->require_labels("train");
  return run;
}

TrainingCodes codes_of_training_rows(const RunInUse& used, Workers& workers, int64_t most) {
  constexpr int64_t rows_of_part = 1024;  // about
  const SavedRun run = run_with_training_rows(used);
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
        usage_error(
            "{}: codes of its training rows are not finite, so no sampler can be fitted to them; "
            "use an earlier --checkpoint",
            run.directory);
    }
  });
  return codes;
}

bool is_grouped_by_class(const SavedRun& run) {
  return run.model->conditional() && run.checkpoint.data.classes > 0;
}

int64_t groups_of(const SavedRun& run) { return is_grouped_by_class(run) ? run.checkpoint.data.classes : 1; }

std::string of_group(const SavedRun& run, int64_t group) {
  if (groups_of(run) == 1) return "";
  const std::vector<std::string> names = texts_in_lines(run.checkpoint.data.class_names);
  const auto place = static_cast<size_t>(group);
  return fmt::format(" of class {}", place < names.size() ? names[place] : std::to_string(group));
}

torch::Tensor sample_by_group(int64_t groups, int64_t n, const torch::Tensor& label,
                              const std::function<torch::Tensor(int64_t group, int64_t count)>& sample) {
  if (groups == 1) return sample(0, n);
  torch::Tensor z;
  for (int64_t group = 0; group < groups; ++group) {
    const torch::Tensor own = label.eq(group).nonzero().squeeze(1);
    if (own.size(0) == 0) continue;
    const torch::Tensor codes = sample(group, own.size(0));
    if (!z.defined()) z = torch::empty({n, codes.size(1)}, codes.options());
    z.index_copy_(0, own, codes);
  }
  return z;
}

}  // namespace elbo
