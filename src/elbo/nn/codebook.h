// Vector quantisation: the nearest of K learnt vectors in place of a vector (van den Oord, Vinyals &
// Kavukcuoglu 2017).
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <string>

#include "elbo/base/options.h"
#include "elbo/base/random.h"

namespace elbo {

struct CodebookOptions {
  int64_t size = 512;             // K
  std::string learning = "ema";   // ema | gradient
  double decay = 0.99;            // ema: γ of the paper's appendix A.1
  double restart_below = 0.1;     // ema: mean uses a step below which a vector is replaced; 0: never
  void bind(OptionTable& table);  // under model.*
};

// With ema the vectors are buffers, moving averages of what was assigned to them; with gradient they are one
// parameter, which codebook_loss() trains.
class Codebook : public torch::nn::Module {
 public:
  // dim: of a vector. Throws a usage Error for a codebook that the machine cannot hold.
  Codebook(const CodebookOptions& options, int64_t dim, RandomGenerator& init);

  int64_t size() const { return options_.size; }
  bool learns_by_gradient() const { return options_.learning == "gradient"; }

  torch::Tensor nearest(const torch::Tensor& z) const;  // (…, dim) → (…) int64, eq. 1; never differentiated
  torch::Tensor vectors(const torch::Tensor& codes) const;  // (…) int64 → (…, dim)

  // What absorb() needs of z (…, dim) and its codes (…), summed over a microbatch: how often each code was
  // used, the sum of what was assigned to it and, from the one microbatch of a step that is the `donor`, some
  // of z that dead codes may restart from.
  torch::Tensor statistics(const torch::Tensor& z, const torch::Tensor& codes, bool donor,
                           RandomGenerator& noise) const;

  // statistics: summed over a step. The moving averages of the paper's appendix A.1, eq. 6–8,
  //   N ← γN + (1-γ)n,   m ← γm + (1-γ) Σz,   e = m/N,
  // which begin as if each vector had been used once. Then vectors with N < restart_below are replaced.
  void update_statistics(const torch::Tensor& statistics);

 private:
  int64_t donated() const;  // encodings in the statistics: restarts that a step can do
  void restart(const torch::Tensor& encodings);

  CodebookOptions options_;
  int64_t dim_;
  torch::Tensor vectors_;      // (K, dim): e
  torch::Tensor uses_, sums_;  // ema: (K) and (K, dim), N and m
};

// e in the forward pass, z in the backward pass: the gradient at e is handed to z (section 3.2).
torch::Tensor straight_through(const torch::Tensor& z, const torch::Tensor& e);

// The second and third term of eq. 3, (b): ‖sg[z] - e‖² and ‖z - sg[e]‖², both summed over a row's codes,
// z and e (b, codes, dim). (The paper takes the mean over the codes; its reconstruction in nats, too, would
// then outweigh them the more the larger the images are.)
torch::Tensor codebook_loss(const torch::Tensor& z, const torch::Tensor& e);
torch::Tensor commitment_loss(const torch::Tensor& z, const torch::Tensor& e);

// How a microbatch uses K codes (…). perplexity: exp of the entropy of their frequencies; used: how many
// occur.
struct CodebookUsage {
  torch::Tensor perplexity, used;  // scalars
};
CodebookUsage codebook_usage(const torch::Tensor& codes, int64_t size);

}  // namespace elbo
