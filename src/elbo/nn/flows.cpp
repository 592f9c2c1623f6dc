#include "elbo/nn/flows.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <string_view>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/nn/made.h"

namespace elbo {
namespace {

constexpr double log_e_minus_one = 0.541324854612918;

class InverseAutoregressive : public Flow {
 public:
  InverseAutoregressive(const FlowShape& shape, RandomGenerator& init)
      : context_(shape.hidden.empty() ? shape.latent : shape.hidden.front()) {
    for (int64_t i = 0; i < shape.flows; ++i)
      networks_.push_back(register_module(
          fmt::format("made{}", i),
          std::make_shared<Made>(shape.latent, context_, 2, shape.hidden, shape.activation, init)));
  }

  FlowOutput forward(const torch::Tensor& z, const torch::Tensor& context) override {
    FlowOutput result{z, torch::zeros({z.size(0)}, z.options())};
    for (const auto& network : networks_) {
      // The last dimension depends on all others, so it is the first of the next flow.
      if (&network != &networks_.front()) result.z = result.z.flip(1);
      const torch::Tensor output = network->forward(result.z, context);
      // The gates start nearly open, at σ(2) = 0.88, as the paper recommends for s.
      const torch::Tensor m = output.select(1, 0), s = output.select(1, 1) + 2.0;
      const torch::Tensor gate = torch::sigmoid(s);
      result.z = gate * result.z + (1 - gate) * m;
      result.log_det = result.log_det + torch::log_sigmoid(s).sum(1);
    }
    return result;
  }
  int64_t context_size() const override { return context_; }

 private:
  std::vector<std::shared_ptr<Made>> networks_;
  int64_t context_;
};

// Has no parameters: they come from the context.
class Planar : public Flow {
 public:
  Planar(const FlowShape& shape, RandomGenerator&) : latent_(shape.latent), flows_(shape.flows) {}

  FlowOutput forward(const torch::Tensor& z, const torch::Tensor& context) override {
    FlowOutput result{z, torch::zeros({z.size(0)}, z.options())};
    for (const torch::Tensor& part : context.chunk(flows_, 1)) {
      const std::vector<torch::Tensor> uwb = part.split_with_sizes({latent_, latent_, 1}, 1);
      step(result, uwb[0], uwb[1], uwb[2]);
    }
    return result;
  }
  int64_t context_size() const override { return flows_ * (2 * latent_ + 1); }

 private:
  // u, w (n, latent), b (n, 1). With wᵀû = softplus(wᵀu + c) - 1 > -1 the function is invertible; its
  // determinant 1 + (1 - tanh²)·wᵀû is computed as a sum of positive numbers. The paper has c = 0. With this
  // c, û = u where wᵀu = 0, so û stays small as w goes to 0.
  static void step(FlowOutput& result, const torch::Tensor& u, const torch::Tensor& w,
                   const torch::Tensor& b) {
    const torch::Tensor wu = (w * u).sum(1, true), stretch = torch::softplus(wu + log_e_minus_one);
    const torch::Tensor square = w.square().sum(1, true).clamp_min(1e-12);
    const torch::Tensor along = (stretch - 1 - wu) * w;
    const torch::Tensor u_hat = u + along / square;
    const torch::Tensor t = torch::tanh((w * result.z).sum(1, true) + b), bend = t.square();
    result.z = result.z + u_hat * t;
    result.log_det = result.log_det + (bend + (1 - bend) * stretch).log().squeeze(1);
  }

  int64_t latent_, flows_;
};

template <typename Kind>
std::shared_ptr<Flow> made(const FlowShape& shape, RandomGenerator& init) {
  return std::make_shared<Kind>(shape, init);
}

struct NamedFlow {
  std::string_view name;
  std::shared_ptr<Flow> (*make)(const FlowShape&, RandomGenerator&);
};

constexpr NamedFlow all_flows[] = {{"iaf", made<InverseAutoregressive>}, {"planar", made<Planar>}};

}  // namespace

std::vector<std::string> flow_names() {
  std::vector<std::string> names;
  for (const NamedFlow& flow : all_flows) names.emplace_back(flow.name);
  return names;
}

std::shared_ptr<Flow> make_flow(const std::string& name, const FlowShape& shape, RandomGenerator& init) {
  for (const NamedFlow& flow : all_flows)
    if (flow.name == name) return flow.make(shape, init);
  usage_error("model.flow={}: expected one of {}", name, join(flow_names(), ", "));
}

}  // namespace elbo
