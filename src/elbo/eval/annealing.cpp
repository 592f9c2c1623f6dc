#include "elbo/eval/annealing.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "elbo/base/error.h"

namespace elbo {
namespace {

// β of a temperature 0 … n, from 0 to 1: dense at both ends (Wu et al. 2017, appendix; their δ is 4).
double beta_of(int64_t temperature, int64_t n) {
  constexpr double delta = 4;
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const double lowest = sigmoid(-delta),
               at = sigmoid(delta * (2.0 * static_cast<double>(temperature) / static_cast<double>(n) - 1));
  return (at - lowest) / (sigmoid(delta) - lowest);
}

// Codes (k, b, latent) with their densities (k, b).
struct Position {
  torch::Tensor z, log_prior, log_likelihood;
  torch::Tensor gradient;  // of log p(z) + β log p(x|z)

  torch::Tensor log_density(double beta) const { return log_prior + beta * log_likelihood; }
};

Position position_at(Model& model, const Batch& batch, const torch::Tensor& z, double beta) {
  const torch::AutoGradMode with_gradients(true);
  const torch::Tensor codes = z.detach().requires_grad_(true);
  const std::optional<LogJoint> joint = model.log_joint(codes, batch);
  if (!joint) fail("annealed importance sampling needs a model with p(x, z)");
  const torch::Tensor sum = (joint->log_prior + beta * joint->log_likelihood).sum();
  return {.z = codes.detach(),
          .log_prior = joint->log_prior.detach(),
          .log_likelihood = joint->log_likelihood.detach(),
          .gradient = torch::autograd::grad({sum}, {codes}).front()};
}

// Chains of a microbatch.
class Chains {
 public:
  Chains(Model& model, const Batch& batch, const AnnealingOptions& options, RandomGenerator& noise)
      : model_(model), batch_(batch), options_(options), noise_(noise) {
    const int64_t rows = batch.size(), latent = model.latent_size();
    torch::Tensor z = model.prior_sample(options.chains * rows, label_of_chains(), noise);
    now_ = position_at(model, batch, z.view({options.chains, rows, latent}), 0);
    step_size_ = torch::full({options.chains, rows, 1}, first_step_size, z.options());
    acceptance_ = torch::full({options.chains, rows}, target_acceptance, z.options());
    accepted_ = torch::zeros({rows}, z.options().dtype(torch::kFloat64));
    log_weight_ = torch::zeros({options.chains, rows}, z.options().dtype(torch::kFloat64));
  }

  AnnealedEstimate run() {
    const int64_t n = options_.temperatures;
    for (int64_t temperature = 1; temperature <= n; ++temperature) {
      const double before = beta_of(temperature - 1, n), beta = beta_of(temperature, n);
      log_weight_ += (beta - before) * now_.log_likelihood.to(torch::kFloat64);
      if (temperature < n) move(beta);  // a move at β = 1 would change no weight
    }
    const auto moves = static_cast<double>(std::max<int64_t>(1, n - 1) * options_.chains);
    return {.log_likelihood = log_weight_.logsumexp(0) - std::log(static_cast<double>(options_.chains)),
            .acceptance = accepted_ / moves};
  }

 private:
  static constexpr double first_step_size = 0.1, target_acceptance = 0.65;

  torch::Tensor label_of_chains() const {
    if (!batch_.label.defined()) return {};
    std::vector<int64_t> repeats(static_cast<size_t>(batch_.label.dim()), 1);
    repeats.front() = options_.chains;
    return batch_.label.repeat(repeats);
  }

  // One proposal of every chain, accepted or not.
  void move(double beta) {
    now_ = position_at(model_, batch_, now_.z, beta);
    const torch::Tensor first_momentum = noise_.normal(now_.z.sizes());
    torch::Tensor momentum = first_momentum + 0.5 * step_size_ * now_.gradient;
    Position next = now_;
    for (int64_t i = 1; i <= options_.leapfrog_steps; ++i) {
      next = position_at(model_, batch_, next.z + step_size_ * momentum, beta);
      momentum = momentum + (i < options_.leapfrog_steps ? 1.0 : 0.5) * step_size_ * next.gradient;
    }
    const auto energy = [&](const Position& position, const torch::Tensor& at) {
      return 0.5 * at.square().sum(2) - position.log_density(beta);
    };
    const torch::Tensor log_ratio = energy(now_, first_momentum) - energy(next, momentum);
    // A ratio that is not a number is not accepted.
    const torch::Tensor accepted = noise_.uniform(log_ratio.sizes()).log() < log_ratio;
    now_.z = torch::where(accepted.unsqueeze(2), next.z, now_.z);
    now_.log_likelihood = torch::where(accepted, next.log_likelihood, now_.log_likelihood);
    adapt(accepted);
  }

  void adapt(const torch::Tensor& accepted) {
    accepted_ += accepted.sum(0, /*keepdim=*/false, torch::kFloat64);
    acceptance_ = 0.9 * acceptance_ + 0.1 * accepted;
    const torch::Tensor factor = torch::where(acceptance_ > target_acceptance, 1.02, 0.98);
    step_size_ = (step_size_ * factor.unsqueeze(2)).clamp(1e-4, 1);
  }

  Model& model_;
  const Batch& batch_;
  const AnnealingOptions& options_;
  RandomGenerator& noise_;
  Position now_;
  torch::Tensor step_size_;   // (k, b, 1)
  torch::Tensor acceptance_;  // (k, b): its moving average
  torch::Tensor accepted_;    // (b): how many proposals were
  torch::Tensor log_weight_;  // (k, b)
};

}  // namespace

AnnealedEstimate anneal(Model& model, const Batch& batch, const AnnealingOptions& options,
                        RandomGenerator& noise) {
  const torch::NoGradGuard no_grad;
  return Chains(model, batch, options, noise).run();
}

}  // namespace elbo
