// A masked autoregressive flow (Papamakarios, Pavlakou & Murray 2017) as the distribution of codes: for
// conditional models p(z | condition), for others p(z).
#include <torch/types.h>

#include "elbo/commands/sampler_network.h"
#include "elbo/nn/autoregressive_flow.h"
#include "elbo/nn/distributions.h"

namespace elbo {
namespace {

int64_t condition_size(const DataShape& data) {
  return data.classes > 0 ? data.classes : data.label_features;
}

// A model of codes without a decoder: z is the noise that the flow makes of a code.
class FlowOfCodes final : public Model {
 public:
  FlowOfCodes(const DataShape& data, RandomGenerator& init)
      : latent_(data.x.front()), classes_(data.classes), conditional_(data.has_labels()) {
    constexpr int64_t layers = 5;
    flow_ = register_module("flow", std::make_shared<AutoregressiveFlow>(
                                        FlowShape{.latent = latent_,
                                                  .flows = layers,
                                                  .hidden = {hidden_width(latent_), hidden_width(latent_)},
                                                  .activation = find_activation("relu")},
                                        condition_size(data), init));
  }

  LossTerms objective(const StepContext&, const Batch& batch, RandomGenerator&) override {
    return minus_log_prob(batch);
  }
  LossTerms evaluate(const Batch& batch, RandomGenerator&) override { return minus_log_prob(batch); }
  std::optional<torch::Tensor> log_weights(const Batch&, int64_t, RandomGenerator&) override {
    return std::nullopt;
  }
  Latent encode(const Batch& batch) override {
    return {flow_->to_noise(batch.x, condition(batch.x, batch.label)).z};
  }
  torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor& label, const ElementChoice&) override {
    return flow_->from_noise(z, condition(z, label));
  }
  torch::Tensor prior_sample(int64_t n, const torch::Tensor&, RandomGenerator& noise) override {
    return noise.normal({n, latent_});
  }
  bool conditional() const override { return conditional_; }
  int64_t latent_size() const override { return latent_; }
  std::shared_ptr<const Likelihood> likelihood() const override { return nullptr; }

 private:
  LossTerms minus_log_prob(const Batch& batch) {
    const FlowOutput noise = flow_->to_noise(batch.x, condition(batch.x, batch.label));
    LossTerms terms;
    terms.loss = -(standard_normal_log_prob(noise.z) + noise.log_det);
    return terms;
  }

  // (n, condition_size()) for rows or codes x (n, latent).
  torch::Tensor condition(const torch::Tensor& x, const torch::Tensor& label) const {
    if (!conditional_) return x.narrow(1, 0, 0);
    if (classes_ > 0) return torch::one_hot(label, classes_).to(torch::kFloat32);
    return label.reshape({label.size(0), -1});
  }

  int64_t latent_, classes_;
  bool conditional_;
  std::shared_ptr<AutoregressiveFlow> flow_;
};

std::shared_ptr<Model> flow_of_codes(const DataShape& data, RandomGenerator& init) {
  return std::make_shared<FlowOfCodes>(data, init);
}

}  // namespace

std::unique_ptr<FittedSampler> make_flow_sampler(const SamplerOptions& options, const RunInUse& used) {
  return make_network_sampler("flow", flow_of_codes, options, used);
}

}  // namespace elbo
