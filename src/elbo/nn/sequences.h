// Autoregressive models of one sequence given a vector z: what its elements are, and the network that reads
// those before an element to tell the next.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/base/special_tokens.h"
#include "elbo/nn/likelihood.h"
#include "elbo/nn/networks.h"

namespace elbo {

// The elements of rows x: how networks see them, which of them are told, and how probable they are. Rows are
// told in steps(): step s tells one element from those before it.
class SequenceElements : public torch::nn::Module {
 public:
  virtual int64_t width() const = 0;  // numbers of an element as networks see it
  virtual int64_t steps() const = 0;
  virtual torch::Tensor seen(const torch::Tensor& x) const = 0;  // (b, time, …) or (b, …) → (…, width)
  // The element before each step, (b, steps, …). Where `dropped` (b, steps) is 1, it tells nothing: <unk>,
  // or zeros.
  virtual torch::Tensor before(const torch::Tensor& x, const torch::Tensor& dropped) const = 0;
  virtual torch::Tensor targets(const torch::Tensor& x) const = 0;  // the element of each step, (b, steps, …)
  // 1 for the steps that count, (b, steps).
  virtual torch::Tensor counted(const torch::Tensor& x, const torch::Tensor& length) const = 0;
  // log p of the counted elements, features (b, steps, hidden) → (b), in nats.
  virtual torch::Tensor log_prob(const torch::Tensor& features, const torch::Tensor& x,
                                    const torch::Tensor& length) const = 0;

  // Generation: the element before the first step (n, …); the one that features (n, hidden) tell, the most
  // probable token or the mean; one drawn with the probabilities that they tell; and the row of those that
  // were told in turn.
  virtual torch::Tensor first(int64_t n, torch::Device device) const = 0;
  virtual torch::Tensor predict(const torch::Tensor& features) const = 0;
  virtual torch::Tensor drawn(const torch::Tensor& features, RandomGenerator& noise) const = 0;
  virtual torch::Tensor row(const std::vector<torch::Tensor>& elements) const = 0;

  virtual std::shared_ptr<const Likelihood> likelihood() const = 0;  // null for tokens
};

// Tokens (time): a vector for each, a probability for each given features. <bos> is given, the others to
// <eos> are told; generation takes the most probable token, and <pad> after <eos>.
std::shared_ptr<SequenceElements> make_token_elements(int64_t tokens, int64_t time, int64_t width,
                                                      int64_t hidden, RandomGenerator& init);
// Rows (time, features): all elements are told, each by its likelihood; generation takes the mean.
std::shared_ptr<SequenceElements> make_value_elements(int64_t time, int64_t features, int64_t hidden,
                                                      const std::shared_ptr<Likelihood>& likelihood,
                                                      RandomGenerator& init);

// Rows (time, channels, height, width): networks of the kind of `network` see a picture as `width` numbers
// and tell it out of features; likewise all are told.
std::shared_ptr<SequenceElements> make_frame_elements(int64_t time, const std::vector<int64_t>& frame,
                                                      const NetworkOptions& network, int64_t width,
                                                      int64_t hidden,
                                                      const std::shared_ptr<Likelihood>& likelihood,
                                                      RandomGenerator& init);

// Whether likelihoods of rows in [0, 1] are possible for sequences is only known where they are stored as
// bytes: otherwise it is gaussian or laplace.
std::shared_ptr<Likelihood> make_step_likelihood(const LikelihoodOptions& options, bool bytes);

// Features of each step from the elements before it and z. No feature depends on a later element.
class SequenceDecoder : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& before, const torch::Tensor& z) const = 0;
  // (b, steps, width), (b, latent) → (b, steps, hidden)

  // One step at a time, with equal results: the state before any, and a step that carries it on.
  virtual torch::Tensor start(const torch::Tensor& z) const = 0;
  virtual torch::Tensor step(const torch::Tensor& before, const torch::Tensor& z,
                             torch::Tensor& state) const = 0;  // before (n, width) → (n, hidden)
};

std::vector<std::string> sequence_decoder_names();
// gru: a recurrent network whose first state follows from z (Bowman et al. 2016); causal_conv: residual
// causal convolutions, one for each of `dilations` (Yang et al. 2017). Both see z at every step.
std::shared_ptr<SequenceDecoder> make_sequence_decoder(const std::string& name, int64_t width, int64_t latent,
                                                       int64_t hidden, const std::vector<int64_t>& dilations,
                                                       RandomGenerator& init);

}  // namespace elbo
