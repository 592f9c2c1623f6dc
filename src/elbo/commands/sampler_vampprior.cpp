// The VampPrior of Tomczak & Welling 2018 after training: the mixture of the posteriors of K training rows,
// 1/K Σ q(z|x_k), which is eq. 9 with rows in place of learned pseudo-inputs. For conditional models the rows
// of a class are the components of p(z | class).
#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/comm/on_root.h"
#include "elbo/commands/evaluate_measures.h"
#include "elbo/commands/samplers.h"
#include "elbo/commands/training_codes.h"
#include "elbo/eval/map_rows.h"
#include "elbo/eval/mixture.h"
#include "elbo/nn/distributions.h"

namespace elbo {
namespace {

// The rows of groups: numbers of training rows, (g, k) int64; -1 where a group has fewer than k.
torch::Tensor choose_rows(const SavedRun& run, int64_t k) {
  const RowSource& rows = run.dataset->split("train");
  const Permutation order(static_cast<uint64_t>(rows.rows()),
                          Key(static_cast<uint64_t>(run.config->train.seed)).with("vampprior"));
  torch::Tensor chosen = torch::full({groups_of(run), k}, -1, torch::kInt64);
  std::vector<int64_t> taken(static_cast<size_t>(groups_of(run)), 0);
  int64_t missing = chosen.numel();
  const int64_t at_once = is_grouped_by_class(run) ? 4096 : k;
  for (int64_t first = 0; first < rows.rows() && missing > 0; first += at_once) {
    std::vector<int64_t> ids = all_ids(std::min(at_once, rows.rows() - first));
    for (int64_t& id : ids) id = static_cast<int64_t>(order(static_cast<uint64_t>(first + id)));
    const torch::Tensor label = is_grouped_by_class(run) ? classes_of(rows, ids) : torch::Tensor();
    for (size_t i = 0; i < ids.size(); ++i) {
      const int64_t group = label.defined() ? label[static_cast<int64_t>(i)].item<int64_t>() : 0;
      int64_t& place = taken.at(static_cast<size_t>(group));
      if (place == k) continue;
      chosen.mutable_data_ptr<int64_t>()[group * k + place++] = ids[i];
      --missing;
    }
  }
  for (size_t group = 0; group < taken.size(); ++group)
    if (taken[group] == 0)
      usage_error("--sampler=vampprior: there are no training rows{}; use --sampler=prior",
                  of_group(run, static_cast<int64_t>(group)));
  return chosen;
}

class VampPriorSampler final : public FittedSampler {
 public:
  VampPriorSampler(int64_t groups, int64_t components, int64_t latent)
      : weights_(torch::zeros({groups, components}, torch::kFloat64)),
        means_(torch::zeros({groups, components, latent})),
        logvars_(torch::zeros({groups, components, latent})) {}

  FitSettings settings() const override { return {{"components", weights_.size(1)}}; }
  std::vector<NamedTensor> tensors() override {
    return {{"weights", weights_}, {"means", means_}, {"logvars", logvars_}};
  }

  void fit(const RunInUse& used, Workers& workers) override {
    const SavedRun run = run_with_training_rows(used);
    torch::Tensor chosen =
        on_root<torch::Tensor>(*used.world, [&] { return choose_rows(run, components()); });
    if (!used.is_root()) chosen = torch::empty({groups(), components()}, torch::kInt64);
    used.world->broadcast(chosen, 0);
    weights_.copy_(chosen.ge(0));
    weights_ /= weights_.sum(1, /*keepdim=*/true);
    encode(used, workers, run, chosen);
    log::info("{}: the sampler vampprior is fitted to {} training rows: their posteriors are its components",
              used.run.directory, chosen.ge(0).sum().item<int64_t>());
  }

  void use_on(torch::Device device) override {
    for (torch::Tensor* tensor : {&weights_, &means_, &logvars_}) *tensor = tensor->to(device);
  }

  torch::Tensor sample(int64_t n, const torch::Tensor& label, RandomGenerator& noise) const override {
    return sample_by_group(groups(), n, label, [&](int64_t group, int64_t count) {
      const torch::Tensor chosen = choose_components(weights_[group], count, noise);
      return DiagonalNormal{means_[group].index_select(0, chosen), logvars_[group].index_select(0, chosen)}
          .sample(noise);
    });
  }

 private:
  int64_t groups() const { return weights_.size(0); }
  int64_t components() const { return weights_.size(1); }

  // Posteriors of the chosen rows, on rank 0.
  void encode(const RunInUse& used, Workers& workers, const SavedRun& run, const torch::Tensor& chosen) {
    const torch::Tensor places = chosen.flatten().ge(0).nonzero().squeeze(1);
    const torch::Tensor rows = chosen.flatten().index_select(0, places);
    const std::vector<int64_t> ids(rows.const_data_ptr<int64_t>(),
                                   rows.const_data_ptr<int64_t>() + rows.numel());
    const std::vector<std::shared_ptr<Model>> models = run.replicas(workers.count());
    const int64_t latent = means_.size(2);
    torch::Tensor means = means_.flatten(0, 1), logvars = logvars_.flatten(0, 1);
    map_rows(
        *used.world, workers, std::ssize(ids), run.config->evaluate.microbatch,
        {{"z", {latent}}, {"logvar", {latent}}},
        [&](int worker, int64_t, int64_t first, int64_t end) {
          const Latent code =
              models[static_cast<size_t>(worker)]->encode(run.rows("train", part_of(ids, first, end)));
          if (!code.logvar)
            usage_error(
                "--sampler=vampprior: {} has no posterior q(z|x) whose mixture could be sampled; use "
                "--sampler=gmm, two_stage or flow",
                run.config->model->name());
          if (!code.z.isfinite().all().item<bool>() || !code.logvar->isfinite().all().item<bool>())
            usage_error(
                "{}: codes of its training rows are not finite, so no sampler can be fitted to them; "
                "use an earlier --checkpoint",
                run.directory);
          return std::vector{code.z, *code.logvar};
        },
        [&](int64_t first, const std::vector<torch::Tensor>& outputs) {
          const torch::Tensor own = places.slice(0, first, first + outputs[0].size(0));
          means.index_copy_(0, own, outputs[0]);
          logvars.index_copy_(0, own, outputs[1]);
        });
  }

  // Of the classes, or of a single group, end to end: (g, k) float64, (g, k, latent) float32. The weight of a
  // component that a group lacks is 0.
  torch::Tensor weights_, means_, logvars_;
};

}  // namespace

std::unique_ptr<FittedSampler> make_vampprior_sampler(const SamplerOptions& options, const RunInUse& used) {
  constexpr int64_t most_numbers = 1 << 26;  // of means: 256 MiB
  const int64_t components = options.components == "auto" ? 500 : std::stoll(options.components);
  const int64_t groups = groups_of(used.run), latent = used.run.model->latent_size();
  if (components > most_numbers / groups / latent)
    usage_error(
        "--sampler=vampprior: --components={} posteriors of {} dimensions{} are too many numbers; "
        "expected at most --components={}",
        components, latent, groups > 1 ? fmt::format(" for each of {} classes", groups) : "",
        most_numbers / groups / latent);
  return std::make_unique<VampPriorSampler>(groups, components, latent);
}

}  // namespace elbo
