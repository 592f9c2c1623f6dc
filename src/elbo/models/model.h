// The interface of a variant. Each variant is one .cpp file; models/registry.h is their table.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/phase.h"
#include "elbo/base/random.h"
#include "elbo/data/batch.h"
#include "elbo/data/transform.h"
#include "elbo/nn/likelihood.h"
#include "elbo/objectives/loss_terms.h"

namespace elbo {

// The position of a forward pass in the run.
struct StepContext {
  std::string phase;
  int64_t step = 0;
  int64_t microbatch = 0;  // index of the microbatch within the step
};

// The encoding of rows.
struct Latent {
  torch::Tensor z;                        // (b, latent): the posterior's mean, or the code
  std::optional<torch::Tensor> logvar{};  // (b, latent) of the posterior; none for a deterministic encoder
  std::optional<torch::Tensor> kl{};  // (b, latent), nats: KL from the prior per dimension, where it is known
  // (b, latent): z in standard deviations from the mean of its prior, where the prior is not N(0, I).
  std::optional<torch::Tensor> standardized{};
  std::optional<torch::Tensor> mask{};   // (b, latent): 0 in dimensions of padding, else 1; none: 1
  std::optional<torch::Tensor> codes{};  // (b, …) int64, of models with a codebook: numbers of its vectors
};

// Densities of rows and codes, (k, b) each, nats.
struct LogJoint {
  torch::Tensor log_prior, log_likelihood;  // log p(z), log p(x|z)
};

// How sequences are continued.
struct Continuation {
  int64_t prefix_length = 1;  // elements of a row that are kept, 1 … time - 1
  ElementChoice elements{};   // how the others are chosen
};

class Model : public torch::nn::Module {
 public:
  // The transform that its rows have gone through (data/transform.h). Shift and scale become buffers of the
  // model. Call it once, after construction.
  void set_transform(Transform transform) {
    transform_ = std::move(transform);
    if (!transform_.shift.defined()) return;
    transform_.shift = register_buffer("input_shift", transform_.shift);
    transform_.scale = register_buffer("input_scale", transform_.scale);
  }
  const Transform& transform() const { return transform_; }

  virtual std::vector<Phase> phases() const { return {{"model", {}}}; }

  // The objective of one microbatch. A pure function: its only randomness is `noise`, it writes no buffer and
  // does not communicate. Several threads call it concurrently, each on its own replica.
  virtual LossTerms objective(const StepContext& step_context, const Batch& batch,
                              RandomGenerator& noise) = 0;

  // Receives LossTerms::statistics of objective(), summed over all microbatches of the step, after the update
  // of the phase. Called on every replica of every rank with the same sums. The only function that writes
  // buffers. It uses no parameters: they may still be in transit.
  virtual void update_statistics(const StepContext&, const torch::Tensor& /*statistics*/) {}

  // Per-sample terms (b) for evaluation, without warm-up and free bits and with β = 1. The loss is -ELBO for
  // models with a bound, or another bound besides LossTerms::negative_elbo.
  virtual LossTerms evaluate(const Batch& batch, RandomGenerator& noise) = 0;

  // log p(x,z)/q(z|x) for k samples of z: (k, b); none for models without a density.
  virtual std::optional<torch::Tensor> log_weights(const Batch& batch, int64_t k, RandomGenerator& noise) = 0;

  // At codes z (k, b, latent), with gradients; none for models without a density of a vector z.
  virtual std::optional<LogJoint> log_joint(const torch::Tensor& /*z*/, const Batch&) { return std::nullopt; }

  virtual Latent encode(const Batch& batch) = 0;
  // (n, latent) → (n, …row), elements of p(x|z). label: (n, …) as in a Batch; only conditional models use it.
  virtual torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor& label,
                                  const ElementChoice& choice) = 0;
  // The likelihood's mean.
  torch::Tensor decode(const torch::Tensor& z, const torch::Tensor& label) { return decode_as(z, label, {}); }
  // E[x | observed elements], (b, …row). Models with log_weights() estimate it from k samples of z, weighted
  // by importance (Mattei & Frellsen 2019, single imputation); others decode the code of encode().
  virtual torch::Tensor impute(const Batch& batch, int64_t /*k*/, RandomGenerator& /*noise*/) {
    return decode_rows(encode(batch), batch);
  }
  // decode() of the codes of rows, for likelihoods with an observed library with the sum of each row.
  torch::Tensor decode_rows(const Latent& code, const Batch& batch) {
    return decode_as(code.z, batch.label, {.rows = batch.x});
  }
  // (n, latent); N(0, I) for models without a prior. label: as for decode(), or undefined.
  virtual torch::Tensor prior_sample(int64_t n, const torch::Tensor& label, RandomGenerator& noise) = 0;
  // New rows (n, …row): z from the prior, elements from p(x|z).
  virtual torch::Tensor generate_rows(int64_t n, const torch::Tensor& label, const ElementChoice& choice,
                                      RandomGenerator& noise) {
    return decode_as(prior_sample(n, label, noise), label, choice);
  }
  // The rows of the batch, with the elements after the prefix generated by the model; none for models that
  // are not autoregressive.
  virtual std::optional<torch::Tensor> continue_from(const Batch&, const Continuation&, RandomGenerator&) {
    return {};
  }
  // The dimensions of each level of z, top first; one level for models without a hierarchy.
  virtual std::vector<int64_t> levels() const { return {latent_size()}; }
  // z (n, latent), a sample of the prior, with one level sampled again given the levels above. Levels above
  // stay; levels below keep their noise ε.
  virtual torch::Tensor resample(const torch::Tensor& z, int64_t /*level*/, RandomGenerator& noise) {
    return prior_sample(z.size(0), {}, noise);
  }
  virtual bool conditional() const { return false; }  // the model is conditioned on labels
  // Whether padding (step ≥ length) is masked out of every term.
  virtual bool uses_length() const { return false; }
  // Why no distribution of z can be fitted to the codes of rows and sampled; "" where one can.
  virtual std::string why_codes_have_no_density() const { return ""; }
  virtual int64_t latent_size() const = 0;
  virtual int64_t codebook_size() const { return 0; }                // vectors; 0: Latent has no codes
  virtual std::shared_ptr<const Likelihood> likelihood() const = 0;  // null for a model without one

 private:
  Transform transform_;
};

}  // namespace elbo
