// What most variants share: one vector of latent variables with the prior N(0, I) and a diagonal Gaussian
// posterior, encoder and decoder networks, a likelihood.
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

// For variants whose KL term has a weight of its own.
struct WeightedVaeOptions : GaussianVaeOptions {
  KlOptions kl;
  void bind(OptionTable& table);
};

// Throws a usage Error for rows of tokens, whose numbers are names and not quantities.
void require_quantities(const DataShape& data, const std::string& model);

// For models whose likelihood's mean is judged by an adversary: an automatic variance is fixed, as only
// maximising p(x|z) would teach a scale. Throws a usage Error for a learned or predicted one, and for
// likelihoods whose mean an adversary cannot improve.
LikelihoodOptions adversarial_likelihood(LikelihoodOptions options, const std::string& model);

// Objective and evaluation are the bound of Kingma & Welling 2014, eq. 10; variants override what they
// change. Its modules are encoder, decoder, likelihood, in this order.
class GaussianVae : public Model {
 public:
  // condition_features: numbers that encoder and decoder see besides x and z, see condition().
  GaussianVae(const ModelContext& context, const GaussianVaeOptions& options, RandomGenerator& init,
              int64_t condition_features = 0);

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override;
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override;
  std::optional<torch::Tensor> log_weights(const Batch& batch, int64_t k, RandomGenerator& noise) override;
  Latent encode(const Batch& batch) override;
  torch::Tensor decode(const torch::Tensor& z, const torch::Tensor& label) override;
  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    return noise.normal({n, latent_});
  }
  int64_t latent_size() const override { return latent_; }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 protected:
  // What a label says to the networks, (b, condition_features); undefined for models without a condition.
  virtual torch::Tensor condition(const torch::Tensor& /*label*/) const { return {}; }

  DiagonalNormal infer(const torch::Tensor& x, const torch::Tensor& label);
  DiagonalNormal infer(const Batch& batch) { return infer(batch.x, batch.label); }
  // The decoder's output, (n, maps, …row). z (n, latent), where n is a multiple of the number of labels: k
  // draws of z for each row may lie behind one another.
  torch::Tensor decoded(const torch::Tensor& z, const torch::Tensor& label);
  virtual torch::Tensor log_prior(const torch::Tensor& z);  // (…, n, latent) → (…, n)
  // -log p(x|z), (n): z as above.
  torch::Tensor reconstruction(const torch::Tensor& z, const Batch& batch);
  // -ELBO with a weighted KL term, at one draw from the posterior (Kingma & Welling 2014, eq. 10).
  LossTerms weighted_bound(const DiagonalNormal& posterior, const Batch& batch, RandomGenerator& noise, const KlOptions& kl,
                       int64_t step);
  // log p(x,z)/q(z|x) at z (k, b, latent) drawn from the posterior → (k, b).
  torch::Tensor log_weights_at(const DiagonalNormal& posterior, const torch::Tensor& z, const Batch& batch);

  static std::vector<std::string> own_modules() { return {"encoder", "decoder", "likelihood"}; }

 private:
  int64_t latent_;
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<Likelihood> likelihood_;
};

}  // namespace elbo
