// Vector quantisation: each vector is replaced by the nearest of K learned vectors (van den Oord, Vinyals &
// Kavukcuoglu 2017). Equations are those of this paper.
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
  double decay = 0.99;            // ema: γ of appendix A.1
  double restart_below = 0.1;     // ema: mean uses per step below which a vector is replaced; 0: never
  void bind(OptionTable& table);  // under model.*
};

// With ema the vectors are buffers: moving averages of the encodings assigned to them. With gradient they are
// a parameter, trained by codebook_loss().
class Codebook : public torch::nn::Module {
 public:
  // dim: dimensions of a vector. Throws a usage Error for a codebook that does not fit in memory.
  Codebook(const CodebookOptions& options, int64_t dim, RandomGenerator& init);

  int64_t size() const { return options_.size; }
  bool learns_by_gradient() const { return options_.learning == "gradient"; }

  torch::Tensor nearest(const torch::Tensor& z) const;      // (…, dim) → (…) int64, eq. 1; no gradient
  torch::Tensor vectors(const torch::Tensor& codes) const;  // (…) int64 → (…, dim)

  // The input of update_statistics() from one microbatch of z (…, dim) and its codes (…): the uses of each
  // code, the sum of the z assigned to it, and candidates that replace unused vectors. One microbatch of the
  // step provides the candidates; the others set with_candidates to false.
  torch::Tensor statistics(const torch::Tensor& z, const torch::Tensor& codes, bool with_candidates,
                           RandomGenerator& noise) const;

  // statistics: summed over all microbatches of a step. The moving averages of appendix A.1, eq. 6–8,
  //   N ← γN + (1-γ)n,   m ← γm + (1-γ) Σz,   e = m/N,
  // start as if each vector had been used once. Then vectors with N < restart_below are replaced.
  void update_statistics(const torch::Tensor& statistics);

 private:
  int64_t candidates() const;  // encodings in the statistics: the most vectors that a step can replace
  void restart(const torch::Tensor& encodings);

  CodebookOptions options_;
  int64_t dim_;
  torch::Tensor vectors_;      // (K, dim): e
  torch::Tensor uses_, sums_;  // ema: (K) and (K, dim), N and m
};

// The straight-through estimator: e in the forward pass; the gradient at e is passed to z (section 3.2).
torch::Tensor straight_through(const torch::Tensor& z, const torch::Tensor& e);

// The second and third term of eq. 3, z and e (b, codes, dim) → (b): ‖sg[z] - e‖² and ‖z - sg[e]‖². Both are
// summed over the codes of a row, where the paper takes the mean: so their weight against the reconstruction,
// a sum over elements, does not depend on the size of images.
torch::Tensor codebook_loss(const torch::Tensor& z, const torch::Tensor& e);
torch::Tensor commitment_loss(const torch::Tensor& z, const torch::Tensor& e);

// The use of `size` codes by a microbatch, codes (…). perplexity: exp of the entropy of their frequencies;
// used: the number of distinct codes.
struct CodebookUsage {
  torch::Tensor perplexity, used;  // scalars
};
CodebookUsage codebook_usage(const torch::Tensor& codes, int64_t size);

}  // namespace elbo
