// The conditional VAE (Sohn, Lee & Yan 2015; Kingma et al. 2014, model M2 with observed labels): encoder and
// decoder are conditioned on the label. The bound is on log p(x | label).
#include <torch/types.h>

#include "elbo/base/error.h"
#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"

namespace elbo {
namespace {

int64_t condition_features(const ModelContext& context) {
  const DataShape& data = context.data;
  if (!data.has_labels())
    usage_error("model.name={}: needs labels or attributes as condition, and {}; set data.label, or use vae",
                context.name,
                data.label_problem.empty() ? "this data set has none"
                                           : "those of this one are left out: " + data.label_problem);
  return data.classes > 0 ? data.classes : data.label_features;
}

class Cvae : public GaussianVae {
 public:
  Cvae(const ModelContext& context, const WeightedVaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init, condition_features(context)),
        kl_(options.kl),
        classes_(context.data.classes) {}

  bool conditional() const override { return true; }

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    return weighted_bound(infer(batch), batch, noise, kl_, step_context.step);
  }

 private:
  // Classes (b) one-hot, attributes (b, k) as they are.
  torch::Tensor condition(const torch::Tensor& label) const override {
    if (classes_ > 0) return torch::one_hot(label, classes_).to(torch::kFloat32);
    return label.reshape({label.size(0), -1});
  }

  KlOptions kl_;
  int64_t classes_;
};

}  // namespace

std::unique_ptr<ModelSpec> cvae_spec() {
  return std::make_unique<SpecOf<Cvae, WeightedVaeOptions>>(
      "cvae", "conditional VAE: encoder and decoder see the label or attributes of the row",
      "Sohn, Lee & Yan, Learning Structured Output Representation using Deep Conditional Generative Models, "
      "NeurIPS 2015");
}

}  // namespace elbo
