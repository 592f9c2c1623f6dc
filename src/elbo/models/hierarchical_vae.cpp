// Hierarchical latent variables, each level conditioned on those above: the ladder VAE of Sønderby et al.
// 2016, or a residual top-down VAE (Child 2021). z is the concatenation of all levels, top first.
#include <torch/types.h>

#include <functional>
#include <numeric>

#include "elbo/base/error.h"
#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/nn/hierarchy.h"
#include "elbo/objectives/bounds.h"

namespace elbo {
namespace {

struct HierarchicalVaeOptions {
  std::string kind = "ladder";
  std::vector<int64_t> latents = {32, 16};  // from the data inwards
  int64_t width = 200;
  LikelihoodOptions likelihood;
  KlOptions kl;
  void bind(OptionTable& table) {
    table.add_choice(
        "model.kind", kind, hierarchy_names(),
        "ladder: each level sees the level above; deep: a residual state passes through all levels");
    table.add("model.latents", latents, "dimensions of z in each level, from the data upwards",
              Range::between(1, 1 << 24));
    table.add("model.width", width, "width of the dense layers between levels", Range::between(1, 1 << 20));
    likelihood.bind(table);
    kl.bind(table);
  }
};

class HierarchicalVae : public Model {
 public:
  HierarchicalVae(const ModelContext& context, const HierarchicalVaeOptions& options, RandomGenerator& init)
      : levels_(options.latents.rbegin(), options.latents.rend()), kl_(options.kl) {
    require_numeric_rows(context.data, context.name);
    if (levels_.size() < 2)
      usage_error("model.latents: expected the dimensions of at least 2 levels; for one level, use vae");
    const std::vector<int64_t>& row = context.data.x;
    const HierarchyShape shape{options.latents, options.width, find_activation(context.network.activation),
                               context.network.initial_weights()};
    likelihood_ = make_likelihood(options.likelihood, likelihood_rows(context.data));
    encoder_ = register_module("encoder",
                               make_encoder(context.network, context.data.encoder_row(), options.width, init,
                                            /*context=*/0, Outputs::features));
    hierarchy_ = register_module("hierarchy", make_hierarchy(options.kind, shape, init));
    decoder_ = register_module("decoder", make_decoder(context.network, row, hierarchy_->output_size(),
                                                       likelihood_->param_channels(), init));
    register_module("likelihood", likelihood_);
  }

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    return bound(batch, kl_, step_context.step, noise);
  }
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    return bound(batch, {}, 0, noise);
  }

  std::optional<torch::Tensor> log_weights(const Batch& batch, int64_t k, RandomGenerator& noise) override {
    return weigh(batch, k, noise).log_weights;
  }

  torch::Tensor impute(const Batch& batch, int64_t k, RandomGenerator& noise) override {
    const Weighted samples = weigh(batch, k, noise);
    return importance_weighted_mean(samples.log_weights,
                                    likelihood_->choose(decoder_->forward(samples.state), {.rows = batch.x}));
  }

  // Each level's posterior given the means of those above it.
  Latent encode(const Batch& batch) override {
    const Inferred inferred = infer(batch, 1, [](const DiagonalNormal& q) { return q.mean; });
    std::vector<torch::Tensor> logvars, standardized;
    for (size_t i = 0; i < levels_.size(); ++i) {
      logvars.push_back(inferred.posterior[i].logvar);
      standardized.push_back(inferred.prior[i].standardized(inferred.z[i]));
    }
    return {torch::cat(inferred.z, 1), torch::cat(logvars, 1), inferred.kl(), torch::cat(standardized, 1)};
  }

  torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor&,
                          const ElementChoice& choice) override {
    torch::Tensor state = hierarchy_->initial_state(z.size(0));
    const std::vector<torch::Tensor> parts = z.split_with_sizes(levels_, 1);
    for (size_t i = 0; i < levels_.size(); ++i) state = hierarchy_->levels()[i]->next_state(state, parts[i]);
    return likelihood_->choose(decoder_->forward(state), choice);
  }

  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    torch::Tensor state = hierarchy_->initial_state(n);
    std::vector<torch::Tensor> z;
    for (const auto& level : hierarchy_->levels()) {
      z.push_back(level->prior(state).sample(noise));
      state = level->next_state(state, z.back());
    }
    return torch::cat(z, 1);
  }

  // Levels below keep their ε in z = μ + σε, with μ and σ of their new priors.
  torch::Tensor resample(const torch::Tensor& z, int64_t level, RandomGenerator& noise) override {
    torch::Tensor old_state = hierarchy_->initial_state(z.size(0)), state = old_state;
    const std::vector<torch::Tensor> old = z.split_with_sizes(levels_, 1);
    std::vector<torch::Tensor> parts(old);
    for (size_t i = 0; i < levels_.size(); ++i) {
      StochasticLevel& here = *hierarchy_->levels()[i];
      const auto index = static_cast<int64_t>(i);
      if (index == level) parts[i] = here.prior(state).sample(noise);
      if (index > level)
        parts[i] = here.prior(state).reparameterize(here.prior(old_state).standardized(old[i]));
      state = here.next_state(state, parts[i]);
      old_state = here.next_state(old_state, old[i]);
    }
    return torch::cat(parts, 1);
  }

  std::vector<int64_t> levels() const override { return levels_; }
  int64_t latent_size() const override { return std::accumulate(levels_.begin(), levels_.end(), int64_t{0}); }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 private:
  // All levels, top first, for k samples of each row: (k·b, …).
  struct Inferred {
    std::vector<DiagonalNormal> prior, posterior;
    std::vector<torch::Tensor> z;
    torch::Tensor state;  // the decoder's input

    // (n, latent): the KL of each dimension, given the samples of the levels above.
    torch::Tensor kl() const {
      std::vector<torch::Tensor> parts;
      parts.reserve(z.size());
      for (size_t i = 0; i < z.size(); ++i) parts.push_back(posterior[i].kl_to(prior[i]));
      return torch::cat(parts, 1);
    }
  };

  Inferred infer(const Batch& batch, int64_t k,
                 const std::function<torch::Tensor(const DiagonalNormal&)>& choose) {
    const std::vector<torch::Tensor> bottom_up =
        hierarchy_->bottom_up(encoder_->forward_input(seen_by(*encoder_, *likelihood_, batch)));
    Inferred inferred;
    inferred.state = hierarchy_->initial_state(k * batch.size());
    for (size_t i = 0; i < levels_.size(); ++i) {
      StochasticLevel& level = *hierarchy_->levels()[i];
      const DiagonalNormal prior = level.prior(inferred.state);
      inferred.prior.push_back(prior);
      inferred.posterior.push_back(level.posterior(prior, inferred.state, bottom_up[i].repeat({k, 1})));
      inferred.z.push_back(choose(inferred.posterior.back()));
      inferred.state = level.next_state(inferred.state, inferred.z.back());
    }
    return inferred;
  }

  // k samples of each row: log p(x,z)/q(z|x), (k, b), and the decoder's input, (k·b, …).
  struct Weighted {
    torch::Tensor log_weights, state;
  };

  Weighted weigh(const Batch& batch, int64_t k, RandomGenerator& noise) {
    std::vector<torch::Tensor> log_q;
    const Inferred inferred = infer(batch, k, [&](const DiagonalNormal& q) {
      const DensitySample sample = q.sample_with_log_prob(noise, 1);
      log_q.push_back(sample.log_prob.squeeze(0));
      return sample.z.squeeze(0);
    });
    torch::Tensor log_weight = log_likelihood(inferred.state, batch);
    for (size_t i = 0; i < levels_.size(); ++i)
      log_weight = log_weight + inferred.prior[i].log_prob(inferred.z[i]) - log_q[i];
    return {log_weight.view({k, -1}), inferred.state};
  }

  torch::Tensor log_likelihood(const torch::Tensor& state, const Batch& batch) {
    return likelihood_->log_prob(decoder_->forward(state), batch.x, batch.observed);
  }

  LossTerms bound(const Batch& batch, const KlOptions& kl, int64_t step, RandomGenerator& noise) {
    const Inferred inferred = infer(batch, 1, [&](const DiagonalNormal& q) { return q.sample(noise); });
    const torch::Tensor nats = -log_likelihood(inferred.state, batch);
    return negative_elbo(nats, inferred.kl(), kl, step);
  }

  std::vector<int64_t> levels_;  // dimensions, top first
  KlOptions kl_;
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Hierarchy> hierarchy_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<Likelihood> likelihood_;
};

}  // namespace

std::unique_ptr<ModelSpec> hierarchical_vae_spec() {
  return std::make_unique<SpecOf<HierarchicalVae, HierarchicalVaeOptions>>(
      "hierarchical_vae", "hierarchical latent variables, each level conditioned on those above",
      "Sønderby et al., Ladder Variational Autoencoders, NIPS 2016; Child, Very Deep VAEs Generalize "
      "Autoregressive Models, ICLR 2021");
}

}  // namespace elbo
