// The VampPrior of Tomczak & Welling 2018: the prior is the mixture of the posteriors of K learned
// pseudo-inputs, p(z) = 1/K Σ q(z|u_k) (eq. 9). The KL from a mixture has no closed form: the bound uses log
// q(z|x) - log p(z) at the sample.
#include <torch/types.h>

#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/nn/layers.h"

namespace elbo {
namespace {

struct VampVaeOptions : GaussianVaeOptions {
  int64_t components = 100;
  KlOptions kl;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    table.add("model.components", components,
              "number of learned pseudo-inputs u, whose posteriors are the components of the prior",
              Range::between(1, 1 << 20));
    kl.bind_weight(table);
  }
};

// Learned rows of the data's shape, in [0, 1] for images, of which no element is missing.
class PseudoInputs : public torch::nn::Module {
 public:
  PseudoInputs(int64_t n, const DataShape& data, RandomGenerator& init)
      : in_unit_interval_(data.is_unit_image()), masked_(data.masked) {
    std::vector<int64_t> sizes{n};
    sizes.insert(sizes.end(), data.x.begin(), data.x.end());
    require_memory(sizes);
    values_ = register_parameter("values", init.normal(sizes));
  }
  Batch rows() const {
    Batch all{in_unit_interval_ ? torch::sigmoid(values_) : values_, {}, {}};
    if (masked_) all.observed = torch::ones_like(values_, torch::kBool);
    return all;
  }

 private:
  bool in_unit_interval_, masked_;
  torch::Tensor values_;
};

class VampVae : public GaussianVae {
 public:
  VampVae(const ModelContext& context, const VampVaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init),
        kl_(options.kl),
        pseudo_inputs_(register_module(
            "pseudo_inputs", std::make_shared<PseudoInputs>(options.components, context.data, init))) {}

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor z = posterior.sample(noise);
    const torch::Tensor nats = reconstruction(z, batch);
    const torch::Tensor log_p = log_prior(z);
    return negative_elbo(nats, (posterior.log_prob(z) - log_p).unsqueeze(1), kl_, step_context.step);
  }
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    const DensitySample sample = infer(batch).sample_with_log_prob(noise, 1);
    const Joint joint = joint_at(sample.z, batch);
    const torch::Tensor kl = sample.log_prob - joint.log_prior;
    return negative_elbo(joint.reconstruction.squeeze(0), kl.movedim(0, 1), {}, 0);
  }

  Latent encode(const Batch& batch) override {
    const DiagonalNormal posterior = infer(batch), prior = components();
    // The mixture's mean and variance in each dimension.
    const torch::Tensor mean = prior.mean.mean(0);
    const torch::Tensor variance = prior.logvar.exp().mean(0) + (prior.mean - mean).square().mean(0);
    return {posterior.mean, posterior.logvar, std::nullopt, (posterior.mean - mean) * variance.rsqrt()};
  }

  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    const DiagonalNormal all = components();
    const auto count = static_cast<double>(all.mean.size(0));
    const torch::Tensor chosen =
        (noise.uniform({n}) * count).to(torch::kInt64).clamp_max(all.mean.size(0) - 1);
    return DiagonalNormal{all.mean.index_select(0, chosen), all.logvar.index_select(0, chosen)}.sample(noise);
  }

 protected:
  torch::Tensor log_prior(const torch::Tensor& z) override { return mixture_log_prob(components(), z); }

 private:
  DiagonalNormal components() { return infer(pseudo_inputs_->rows()); }

  KlOptions kl_;
  std::shared_ptr<PseudoInputs> pseudo_inputs_;
};

}  // namespace

std::unique_ptr<ModelSpec> vamp_vae_spec() {
  return std::make_unique<SpecOf<VampVae, VampVaeOptions>>(
      "vamp_vae", "VAE whose prior is a mixture of the posteriors of learned pseudo-inputs",
      "Tomczak & Welling, VAE with a VampPrior, AISTATS 2018");
}

}  // namespace elbo
