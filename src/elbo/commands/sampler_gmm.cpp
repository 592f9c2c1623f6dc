// A mixture of Gaussians as the distribution of codes, after training (Ghosh et al. 2020, "From variational
// to deterministic autoencoders", section 4): for conditional models p(z | class), for others p(z).
#include <fmt/format.h>
#include <torch/types.h>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/commands/samplers.h"
#include "elbo/commands/training_codes.h"
#include "elbo/eval/mixture.h"

namespace elbo {
namespace {

// The points of the rows of a class.
SharedPoints points_of_class(const TrainingCodes& codes, int64_t label) {
  SharedPoints points{.parts = codes.points.parts, .own = {}};
  points.own.reserve(codes.points.own.size());
  for (size_t i = 0; i < codes.points.own.size(); ++i)
    points.own.push_back(codes.points.own[i].index_select(0, codes.labels[i].eq(label).nonzero().squeeze(1)));
  return points;
}

class GmmSampler final : public FittedSampler {
 public:
  GmmSampler(int64_t groups, int64_t components, int64_t latent, int64_t fitted_rows)
      : components_(components),
        fitted_rows_(fitted_rows),
        weights_(torch::zeros({groups, components}, torch::kFloat64)),
        means_(torch::zeros({groups, components, latent}, torch::kFloat64)),
        factors_(torch::zeros({groups, components, latent, latent}, torch::kFloat64)) {}

  FitSettings settings() const override {
    return {{"components", components_}, {"fitted_rows", fitted_rows_}};
  }
  std::vector<NamedTensor> tensors() override {
    return {{"weights", weights_}, {"means", means_}, {"factors", factors_}};
  }

  void fit(const RunInUse& used, Workers& workers) override {
    const TrainingCodes codes = codes_of_training_rows(used, workers, fitted_rows_);
    double log_prob = 0;
    for (int64_t group = 0; group < groups(); ++group) {
      const MixtureFit fit = fit_group(used, workers, codes, group);
      weights_[group].copy_(fit.mixture.weights);
      means_[group].copy_(fit.mixture.means);
      factors_[group].copy_(fit.mixture.factors);
      log_prob += fit.log_prob / static_cast<double>(groups());
    }
    log::info(
        "{}: the sampler gmm is fitted to {} codes of training rows{}: log p(z) is {:.2f} nats on average",
        used.run.directory, count_points(*used.world, codes.points),
        groups() > 1 ? fmt::format(" of {} classes", groups()) : "", log_prob);
  }

  void use_on(torch::Device device) override {
    mixtures_.reserve(static_cast<size_t>(groups()));
    for (int64_t group = 0; group < groups(); ++group)
      mixtures_.push_back(GaussianMixture{weights_[group], means_[group], factors_[group]}.to(device));
  }

  torch::Tensor sample(int64_t n, const torch::Tensor& label, RandomGenerator& noise) const override {
    return sample_by_group(groups(), n, label, [&](int64_t group, int64_t count) {
      return mixtures_[static_cast<size_t>(group)].sample(count, noise);
    });
  }

 private:
  int64_t groups() const { return weights_.size(0); }

  MixtureFit fit_group(const RunInUse& used, Workers& workers, const TrainingCodes& codes,
                       int64_t group) const {
    const SharedPoints points = is_grouped_by_class(used.run) ? points_of_class(codes, group) : codes.points;
    require_points(count_points(*used.world, points), of_group(used.run, group));
    const auto seed = static_cast<uint64_t>(used.run.config->train.seed);
    return fit_mixture(*used.world, workers, points, {.components = components_},
                       Key(seed).with("gmm").with(static_cast<uint64_t>(group)));
  }

  // d + 1 points have a covariance with an inverse.
  void require_points(int64_t points, const std::string& whose) const {
    const int64_t d = means_.size(2), least = components_ * (d + 1);
    if (points >= least) return;
    const int64_t possible = points / (d + 1);
    usage_error(
        "--sampler=gmm: {} Gaussians of {} dimensions need {} training rows{}, and there are {}; expected {}",
        components_, d, least, whose, points,
        possible > 0 ? fmt::format("at most --components={}", possible) : "--sampler=prior");
  }

  int64_t components_, fitted_rows_;
  // Of the classes, or of a single group, end to end.
  torch::Tensor weights_, means_, factors_;
  std::vector<GaussianMixture> mixtures_;  // of each group
};

}  // namespace

std::unique_ptr<FittedSampler> make_gmm_sampler(const SamplerOptions& options, const RunInUse& used) {
  constexpr int64_t most_numbers = 1 << 22;  // of the covariances of a mixture: 32 MiB
  const int64_t components = options.components == "auto" ? 10 : std::stoll(options.components);
  const int64_t d = used.run.model->latent_size();
  if (d * d * components > most_numbers)
    usage_error(
        "--sampler=gmm: {} covariances of {} dimensions have too many numbers; expected "
        "components·dimensions² "
        "of at most {}; use fewer --components or --sampler=prior",
        components, d, most_numbers);
  return std::make_unique<GmmSampler>(groups_of(used.run), components, d, options.fitted_rows);
}

}  // namespace elbo
