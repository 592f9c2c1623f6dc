// What every variant offers. A variant is one .cpp that holds only its difference; the registry is the one
// table of them.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/data/batch.h"
#include "elbo/nn/likelihood.h"
#include "elbo/objectives/loss_terms.h"
#include "elbo/parallel/phase.h"

namespace elbo {

// Which forward pass of the run this is.
struct StepContext {
  std::string phase;
  int64_t step = 0;
  int64_t microbatch = 0;  // number of the microbatch within the step
};

// What encode() finds for each row.
struct Latent {
  torch::Tensor z;                        // (b, latent): the posterior's mean, or the code
  std::optional<torch::Tensor> logvar{};  // (b, latent) of the posterior, where it has one
  std::optional<torch::Tensor> kl{};      // (b, latent): of each dimension from the prior, where it is known
};

// How rows that are sequences are to go on.
struct Continuation {
  int64_t given = 1;  // so many first elements of a row stay, 1 … time - 1
  bool drawn =
      false;  // the others are drawn from the likelihood; else each is its mean, or the most probable
};

class Model : public torch::nn::Module {
 public:
  virtual std::vector<Phase> phases() const { return {{"model", {}}}; }

  // The objective of one microbatch. Pure: draws only from `noise`, writes no buffer, never communicates, and
  // may run in several threads at once (each with a replica of its own).
  virtual LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) = 0;

  // Takes what objective() put into Terms::statistics, summed over all leaves of the step, after the phase's
  // update; called on every replica of every rank with the same sums. The only place that writes buffers.
  virtual void update_statistics(const StepContext&, const torch::Tensor& /*statistics*/) {}

  // Per-sample terms (b) for evaluation: no warm-up, no free bits, β = 1. For a model with a bound, loss is
  // -ELBO.
  virtual LossTerms evaluate(const Batch& batch, RandomGenerator& noise) = 0;

  // log p(x,z)/q(z|x) for k draws of z: (k, b); none for a model without a density.
  virtual std::optional<torch::Tensor> log_weights(const Batch& batch, int64_t k, RandomGenerator& noise) = 0;

  virtual Latent encode(const Batch& batch) = 0;
  // (n, latent) → (n, …row), the likelihood's mean. label: as in a Batch, n of them; only conditional models
  // look at it.
  virtual torch::Tensor decode(const torch::Tensor& z, const torch::Tensor& label) = 0;
  // (n, latent); for a model without a prior, N(0, I), said in its docs. label: as for decode(), or
  // undefined.
  virtual torch::Tensor prior_sample(int64_t n, const torch::Tensor& label, RandomGenerator& noise) = 0;
  // The batch's rows, of which `given` elements are as they are and the others drawn given those; none for a
  // model that does not tell rows element after element.
  virtual std::optional<torch::Tensor> continue_from(const Batch&, const Continuation&, RandomGenerator&) { return {}; }
  // Dimensions of the levels of z in their order, where it is drawn in levels: the top first.
  virtual std::vector<int64_t> levels() const { return {latent_size()}; }
  // z (n, latent), drawn from the prior, with one level drawn anew given those above it. Those above stay as
  // they are, those below keep the noise that they were drawn with.
  virtual torch::Tensor resample(const torch::Tensor& z, int64_t /*level*/, RandomGenerator& noise) {
    return prior_sample(z.size(0), {}, noise);
  }
  virtual bool conditional() const { return false; }  // rows, or the prior of z, are given their labels
  // Steps from a row's length on are not told, and count in no term.
  virtual bool uses_length() const { return false; }
  virtual int64_t latent_size() const = 0;
  virtual std::shared_ptr<const Likelihood> likelihood() const = 0;  // null for a model without one
};

}  // namespace elbo
