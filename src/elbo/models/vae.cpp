// The variational autoencoder of Kingma & Welling 2014, with options for the weight of the KL term (Higgins
// et al. 2017), its warm-up and free bits. With a multinomial likelihood and input dropout it is the Mult-VAE
// of Liang et al. 2018.
#include <torch/types.h>

#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"

namespace elbo {
namespace {

struct VaeOptions : WeightedVaeOptions {
  double input_dropout = 0.0;
  void bind(OptionTable& table) {
    WeightedVaeOptions::bind(table);
    table.add("model.input_dropout", input_dropout,
              "fraction of the elements of x that the encoder does not see in training, while the others are "
              "scaled up; with model.likelihood=multinomial this is Mult-VAE (Liang et al. 2018)",
              Range::between(0, 0.99));
  }
};

class Vae : public GaussianVae {
 public:
  Vae(const ModelContext& context, const VaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init), kl_(options.kl), input_dropout_(options.input_dropout) {}

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    const Batch seen = batch.with_x(dropout(encoder_input(batch.x), noise));
    return weighted_bound(infer_from(seen.encoder_input(), batch.label), batch, noise, kl_,
                          step_context.step);
  }

 private:
  // Inverted dropout: scaled so that the expectation is x (Srivastava et al. 2014). After network.input, as
  // in Mult-VAE.
  torch::Tensor dropout(const torch::Tensor& x, RandomGenerator& noise) const {
    if (input_dropout_ == 0) return x;
    return x * (noise.uniform(x.sizes()) >= input_dropout_) / (1 - input_dropout_);
  }

  KlOptions kl_;
  double input_dropout_;
};

}  // namespace

std::unique_ptr<ModelSpec> vae_spec() {
  return std::make_unique<SpecOf<Vae, VaeOptions>>(
      "vae", "variational autoencoder with a diagonal Gaussian posterior",
      "Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014");
}

}  // namespace elbo
