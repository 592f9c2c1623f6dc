// The base of most variants: a latent vector with the prior N(0, I) and a diagonal Gaussian posterior,
// encoder and decoder networks, and a likelihood.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "elbo/base/options.h"
#include "elbo/models/registry.h"
#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood.h"
#include "elbo/nn/networks.h"
#include "elbo/objectives/bounds.h"

namespace elbo {

struct GaussianVaeOptions {
  int64_t latent = 20;
  LikelihoodOptions likelihood;
  void bind(OptionTable& table);  // model.latent and model.likelihood*
};

// For variants with a weighted KL term.
struct WeightedVaeOptions : GaussianVaeOptions {
  KlOptions kl;
  void bind(OptionTable& table);
};

// Throws a usage Error for rows of tokens, which are categories and not quantities.
void require_numeric_rows(const DataShape& data, const std::string& model);

// Throws a usage Error for data.missing=mask. why: what the model does with missing elements, for the
// message.
void require_complete_rows(const DataShape& data, const std::string& model, const std::string& why);
// What a likelihood needs to know about the rows. classes: of the label, for models that are conditioned on
// it.
LikelihoodRows likelihood_rows(const DataShape& data, int64_t classes = 0);
// The rows of the batch as the encoder sees them, for Encoder::forward_input(): compressed as the likelihood
// and network.input say, and with a mask beside them if there is one.
torch::Tensor seen_by(const Encoder& encoder, const Likelihood& likelihood, const Batch& batch);

// The options for models whose decoder learns from a discriminator, through the likelihood's mean: an
// automatic variance is fixed, as the scale has no gradient. Throws a usage Error for a learned or predicted
// variance and for likelihoods whose mean is not differentiable or not on the scale of x.
LikelihoodOptions adversarial_likelihood(LikelihoodOptions options, const std::string& model);

// Objective and evaluation are -ELBO (Kingma & Welling 2014, eq. 10); variants override what they change. The
// modules are encoder, decoder, likelihood, registered in this order.
class GaussianVae : public Model {
 public:
  // condition_features: size of the condition, which encoder and decoder see in addition to x and z.
  GaussianVae(const ModelContext& context, const GaussianVaeOptions& options, RandomGenerator& init,
              int64_t condition_features = 0);

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override;
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override;
  std::optional<torch::Tensor> log_weights(const Batch& batch, int64_t k, RandomGenerator& noise) override;
  std::optional<LogJoint> log_joint(const torch::Tensor& z, const Batch& batch) override {
    const Joint joint = joint_at(z, batch);
    return LogJoint{.log_prior = joint.log_prior, .log_likelihood = -joint.reconstruction};
  }
  Latent encode(const Batch& batch) override;
  torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor& label,
                          const ElementChoice& choice) override;
  torch::Tensor impute(const Batch& batch, int64_t k, RandomGenerator& noise) override;
  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    return noise.normal({n, latent_});
  }
  int64_t latent_size() const override { return latent_; }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 protected:
  // The condition that a label becomes, (b, condition_features); undefined for unconditional models.
  virtual torch::Tensor condition(const torch::Tensor& /*label*/) const { return {}; }

  DiagonalNormal infer(const Batch& batch);
  // The same of what seen_by() gives; encoder_input() is x without the mask.
  DiagonalNormal infer_from(const torch::Tensor& seen, const torch::Tensor& label);
  torch::Tensor encoder_input(const torch::Tensor& x) const {
    return encoder_->input(likelihood_->encoder_input(x));
  }
  // The likelihood's parameters, (n, param_channels, …row). z (n, latent), where n is a multiple of the
  // number of labels, for several samples of z per row.
  torch::Tensor decoder_output(const torch::Tensor& z, const torch::Tensor& label);
  virtual torch::Tensor log_prior(const torch::Tensor& z);  // (…, n, latent) → (…, n)
  // -log p(x|z), (n): z as for decoder_output().
  torch::Tensor reconstruction(const torch::Tensor& z, const Batch& batch);
  // -ELBO with a weighted KL term, at one sample of the posterior (Kingma & Welling 2014, eq. 10).
  LossTerms weighted_bound(const DiagonalNormal& posterior, const Batch& batch, RandomGenerator& noise,
                           const KlOptions& kl, int64_t step);
  // log p(z) and -log p(x|z), (k, b), at samples z (k, b, latent) of the posterior.
  struct Joint {
    torch::Tensor log_prior, reconstruction;
    // log p(x,z)/q(z|x) → (k, b).
    torch::Tensor log_weights(const torch::Tensor& log_q) const { return log_prior - log_q - reconstruction; }
  };
  Joint joint_at(const torch::Tensor& z, const Batch& batch);

  static std::vector<std::string> module_names() { return {"encoder", "decoder", "likelihood"}; }

 private:
  int64_t latent_;
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<Likelihood> likelihood_;
};

}  // namespace elbo
