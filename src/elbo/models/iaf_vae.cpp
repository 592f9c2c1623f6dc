// A VAE whose posterior is a normalising flow of a diagonal normal: inverse autoregressive (Kingma et al.
// 2016) or planar (Rezende & Mohamed 2015). Its KL from the prior N(0, I) has no closed form: the bound uses
// log q(z|x) - log p(z) at the sample.
#include <torch/types.h>

#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/nn/flows.h"
#include "elbo/objectives/bounds.h"

namespace elbo {
namespace {

struct IafVaeOptions : GaussianVaeOptions {
  std::string flow = "iaf";
  int64_t flows = 2;
  std::vector<int64_t> flow_hidden = {200};
  KlOptions kl;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    table.add_choice("model.flow", flow, flow_names(),
                     "normalizing flow that transforms the sample of the posterior");
    table.add("model.flows", flows, "number of flows", Range::between(1, 1000));
    table.add("model.flow_hidden", flow_hidden, "iaf: widths of the masked layers of each flow",
              Range::between(1, 1 << 20));
    kl.bind_weight(table);
  }
};

class IafVae : public Model {
 public:
  IafVae(const ModelContext& context, const IafVaeOptions& options, RandomGenerator& init)
      : latent_(options.latent), kl_(options.kl) {
    require_numeric_rows(context.data, context.name);
    const std::vector<int64_t>& row = context.data.x;
    const FlowShape shape{options.latent, options.flows, options.flow_hidden,
                          find_activation(context.network.activation)};
    likelihood_ = make_likelihood(options.likelihood, likelihood_rows(context.data));
    flow_ = register_module("flow", make_flow(options.flow, shape, init));
    encoder_ = register_module("encoder", make_encoder(context.network, context.data.encoder_row(),
                                                       2 * latent_ + flow_->context_size(), init));
    decoder_ = register_module(
        "decoder", make_decoder(context.network, row, latent_, likelihood_->param_channels(), init));
    register_module("likelihood", likelihood_);
  }

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    const Inferred found = infer(batch);
    const torch::Tensor start = found.base.sample(noise, 1);
    const FlowOutput output = transform(found, start);
    return bound({output.z, found.base.log_prob(start).flatten() - output.log_det}, batch, kl_,
                 step_context.step);
  }
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    return bound(sample_posterior(infer(batch), 1, noise), batch, {}, 0);
  }

  std::optional<torch::Tensor> log_weights(const Batch& batch, int64_t k, RandomGenerator& noise) override {
    const Sample sample = sample_posterior(infer(batch), k, noise);
    return (log_likelihood(sample.z, batch) - sample.kl()).view({k, -1});
  }

  torch::Tensor impute(const Batch& batch, int64_t k, RandomGenerator& noise) override {
    const Sample sample = sample_posterior(infer(batch), k, noise);
    return importance_weighted_mean((log_likelihood(sample.z, batch) - sample.kl()).view({k, -1}),
                                    decode_as(sample.z, {}, {.rows = batch.x}));
  }

  // The flow applied to the mean of the base distribution, which is not the posterior's mean.
  Latent encode(const Batch& batch) override {
    const Inferred found = infer(batch);
    return {flow_->forward(found.base.mean, found.context).z};
  }
  torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor&,
                          const ElementChoice& choice) override {
    return likelihood_->choose(decoder_->forward(z), choice);
  }
  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    return noise.normal({n, latent_});
  }
  int64_t latent_size() const override { return latent_; }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 private:
  struct Inferred {
    DiagonalNormal base;    // the distribution before the flow
    torch::Tensor context;  // (b, context): the condition of the flow
  };
  // k samples for each row: (k·b, …).
  struct Sample {
    torch::Tensor z, log_q;
    torch::Tensor kl() const { return log_q - standard_normal_log_prob(z); }  // an estimate from this sample
  };

  Inferred infer(const Batch& batch) {
    const torch::Tensor output = encoder_->forward_input(seen_by(*encoder_, *likelihood_, batch));
    return {DiagonalNormal::of(output.narrow(1, 0, 2 * latent_)),
            output.narrow(1, 2 * latent_, flow_->context_size())};
  }

  // start (k, b, latent): samples of the base distribution.
  FlowOutput transform(const Inferred& found, const torch::Tensor& start) {
    return flow_->forward(start.flatten(0, 1), found.context.repeat({start.size(0), 1}));
  }

  Sample sample_posterior(const Inferred& found, int64_t k, RandomGenerator& noise) {
    const DensitySample start = found.base.sample_with_log_prob(noise, k);
    const FlowOutput output = transform(found, start.z);
    return {output.z, start.log_prob.flatten() - output.log_det};
  }

  torch::Tensor log_likelihood(const torch::Tensor& z, const Batch& batch) {
    return likelihood_->log_prob(decoder_->forward(z), batch.x, batch.observed);
  }

  LossTerms bound(const Sample& sample, const Batch& batch, const KlOptions& kl, int64_t step) {
    const torch::Tensor nats = -log_likelihood(sample.z, batch);
    return negative_elbo(nats, sample.kl().unsqueeze(1), kl, step);
  }

  int64_t latent_;
  KlOptions kl_;
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Flow> flow_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<Likelihood> likelihood_;
};

}  // namespace

std::unique_ptr<ModelSpec> iaf_vae_spec() {
  return std::make_unique<SpecOf<IafVae, IafVaeOptions>>(
      "iaf_vae", "VAE whose posterior is a normalising flow, inverse autoregressive or planar",
      "Kingma et al., Improving Variational Inference with Inverse Autoregressive Flow, NIPS 2016; Rezende & "
      "Mohamed, Variational Inference with Normalizing Flows, ICML 2015");
}

}  // namespace elbo
