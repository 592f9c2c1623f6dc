// Autoregressive models of a sequence given a vector z: the elements of a sequence, and the decoder network
// that predicts each element from the elements before it.
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

// The elements of rows x: their embedding and their likelihood. Step s of steps() predicts one element from
// the elements before it. Elements that are made `masked` take NaN in x for a missing value, also where they
// are inputs: its embedding says that it is missing, and it does not count in log_prob().
class SequenceElements : public torch::nn::Module {
 public:
  virtual int64_t width() const = 0;  // of the embedding of an element
  virtual int64_t steps() const = 0;
  virtual torch::Tensor embed(const torch::Tensor& x) const = 0;  // (b, time, …) or (b, …) → (…, width)
  // Teacher forcing: the element before each step, (b, steps, …). Where `dropped` (b, steps) is 1, it is
  // replaced by <unk> or zeros. Undefined: nothing is dropped.
  virtual torch::Tensor decoder_inputs(const torch::Tensor& x, const torch::Tensor& dropped) const = 0;
  virtual torch::Tensor targets(const torch::Tensor& x) const = 0;  // the element of each step, (b, steps, …)
  // (b, steps) float32: 0 where the target is padding, else 1. length: as in a Batch.
  virtual torch::Tensor mask(const torch::Tensor& x, const torch::Tensor& length) const = 0;
  // log p of the targets that are not padding, features (b, steps, hidden) → (b), in nats.
  virtual torch::Tensor log_prob(const torch::Tensor& features, const torch::Tensor& x,
                                 const torch::Tensor& length) const = 0;

  // Generation, one step at a time.
  virtual torch::Tensor initial_input(int64_t n, torch::Device device) const = 0;  // before step 0, (n, …)
  // features (n, hidden) → (n, …). The mean of a token is the most probable one.
  virtual torch::Tensor choose(const torch::Tensor& features, const ElementChoice& choice) const = 0;
  virtual torch::Tensor assemble(
      const std::vector<torch::Tensor>& elements) const = 0;  // steps × (n, …) → rows x

  virtual std::shared_ptr<const Likelihood> likelihood() const = 0;  // null for tokens
};

// Tokens (time): an embedding and a categorical distribution. The tokens after <bos> are predicted, up to and
// with <eos>. Generated rows are filled with <pad> after <eos>.
std::shared_ptr<SequenceElements> make_token_elements(int64_t tokens, int64_t time, int64_t width,
                                                      int64_t hidden, RandomGenerator& init);
// Rows (time, features): vectors with a likelihood, embedded as network_input() of `input_kind`. All of them
// are predicted.
std::shared_ptr<SequenceElements> make_value_elements(int64_t time, int64_t features, int64_t hidden,
                                                      const std::string& input_kind,
                                                      const std::shared_ptr<Likelihood>& likelihood,
                                                      RandomGenerator& init, bool masked = false);

// Rows (time, channels, height, width): images. An encoder of the kind `network` embeds an image in `width`
// numbers, and a decoder maps features to the likelihood's parameters. All images are predicted.
std::shared_ptr<SequenceElements> make_frame_elements(int64_t time, const std::vector<int64_t>& frame,
                                                      const NetworkOptions& network, int64_t width,
                                                      int64_t hidden,
                                                      const std::shared_ptr<Likelihood>& likelihood,
                                                      RandomGenerator& init, bool masked = false);

// A causal network: the features of a step depend on its input, the inputs before it, and z.
class SequenceDecoder : public torch::nn::Module {
 public:
  // inputs (b, steps, width), z (b, latent) → (b, steps, hidden). Steps from `end` (1 … steps) on are
  // padding: their features are any finite values.
  virtual torch::Tensor forward(const torch::Tensor& inputs, const torch::Tensor& z, int64_t end) const = 0;

  // The same one step at a time: initial_state(z), then step(), which updates the state.
  virtual torch::Tensor initial_state(const torch::Tensor& z) const = 0;
  virtual torch::Tensor step(const torch::Tensor& input, const torch::Tensor& z,
                             torch::Tensor& state) const = 0;  // input (n, width) → (n, hidden)
};

std::vector<std::string> sequence_decoder_names();
// gru: a recurrent network whose initial state is a function of z (Bowman et al. 2016); causal_conv: residual
// causal convolutions, one for each of `dilations` (Yang et al. 2017). Both see z at every step. Throws a
// usage Error for an unknown name.
std::shared_ptr<SequenceDecoder> make_sequence_decoder(const std::string& name, int64_t width, int64_t latent,
                                                       int64_t hidden, const std::vector<int64_t>& dilations,
                                                       RandomGenerator& init);

}  // namespace elbo
