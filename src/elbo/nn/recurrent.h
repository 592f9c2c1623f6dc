// Layers over sequences (b, time, features). Initial weights come from a RandomGenerator, as in nn/layers.h;
// those of recurrent cells are U(-1/√hidden, 1/√hidden).
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/gates.h"
#include "elbo/nn/hooked_module.h"
#include "elbo/nn/layers.h"

namespace elbo {

// A vector for each token, initially N(0, I/width), so that its length is near 1.
class Embedding : public HookedModule {
 public:
  Embedding(int64_t tokens, int64_t width, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& tokens) const;  // (…) int64 → (…, width)

 private:
  torch::Tensor weight_;  // (tokens, width)
};

// A recurrent cell. Its state is one tensor (b, state_size()), whose first `hidden` columns are the output.
class RecurrentCell : public HookedModule {
 public:
  int64_t state_size() const { return state_parts_ * hidden_; }
  torch::Tensor output(const torch::Tensor& state) const { return state.narrow(1, 0, hidden_); }

  torch::Tensor step(const torch::Tensor& x, const torch::Tensor& state) const {  // (b, in) → (b, state_size)
    before_use();
    return advance(input_gates(x), state);
  }
  // The outputs after each element, (b, time, in), (b, state_size) → (b, time, hidden).
  torch::Tensor unroll(const torch::Tensor& x, const torch::Tensor& state) const {
    return unroll(x, state, x.size(1));
  }
  // The same for the first `steps` elements, 1 … time; the others, which are padding, have zeros.
  torch::Tensor unroll(const torch::Tensor& x, const torch::Tensor& state, int64_t steps) const;

  // For functions that compute the cell themselves.
  Linear::Parameters use_input_layer() const;   // (gates·hidden, in), (gates·hidden)
  Linear::Parameters use_hidden_layer() const;  // (gates·hidden, hidden), (gates·hidden)
  virtual const CellKernel& kernel() const = 0;

 protected:
  // gates: vectors of size `hidden` that a step computes; parts: vectors of size `hidden` in the state.
  RecurrentCell(int64_t in, int64_t hidden, int64_t gates, int64_t parts, RandomGenerator& init);
  torch::Tensor hidden_gates(const torch::Tensor& output) const;  // (b, hidden) → (b, gates·hidden)
  const torch::Tensor& hidden_weight() const { return weight_hh_; }
  const torch::Tensor& hidden_bias() const { return bias_hh_; }

 private:
  torch::Tensor input_gates(const torch::Tensor& x) const;  // (…, in) → (…, gates·hidden)
  virtual torch::Tensor advance(const torch::Tensor& from_input, const torch::Tensor& state) const = 0;
  // All steps by one function (nn/gates.h): (steps, b, gates·hidden) → the outputs (steps, b, hidden).
  virtual torch::Tensor advance_all(const torch::Tensor& from_input, const torch::Tensor& state) const = 0;

  int64_t hidden_, state_parts_;
  torch::Tensor weight_ih_, weight_hh_, bias_ih_, bias_hh_;
};

// The gated recurrent unit of Cho et al. 2014, with LibTorch's order of gates (reset, update, new).
class Gru : public RecurrentCell {
 public:
  Gru(int64_t in, int64_t hidden, RandomGenerator& init) : RecurrentCell(in, hidden, 3, 1, init) {}
  const CellKernel& kernel() const override { return gru_kernel(); }

 private:
  torch::Tensor advance(const torch::Tensor& from_input, const torch::Tensor& state) const override;
  torch::Tensor advance_all(const torch::Tensor& from_input, const torch::Tensor& state) const override;
};

// The LSTM of Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, with LibTorch's order
// of gates (input, forget, cell, output). Its state is the output, then the cell state.
class Lstm : public RecurrentCell {
 public:
  Lstm(int64_t in, int64_t hidden, RandomGenerator& init) : RecurrentCell(in, hidden, 4, 2, init) {}
  const CellKernel& kernel() const override { return lstm_kernel(); }

 private:
  torch::Tensor advance(const torch::Tensor& from_input, const torch::Tensor& state) const override;
  torch::Tensor advance_all(const torch::Tensor& from_input, const torch::Tensor& state) const override;
};

std::vector<std::string> cell_names();  // gru, lstm
// Throws a usage Error for an unknown name.
std::shared_ptr<RecurrentCell> make_cell(const std::string& name, int64_t in, int64_t hidden,
                                         RandomGenerator& init);

// A convolution over time whose output depends on no later input (van den Oord et al. 2016, WaveNet).
class CausalConv1d : public HookedModule {
 public:
  CausalConv1d(int64_t in, int64_t out, int64_t kernel, int64_t dilation, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x) const;  // (b, in, time) → (b, out, time)
  void pretty_print(std::ostream& stream) const override;

 private:
  torch::Tensor weight_, bias_;  // (out, in, kernel), (out)
  int64_t past_, dilation_;
};

// The padding mask, (b, time) float32: 1 where step < length, else 0. length (b) is undefined for sequences
// without padding: then all are 1.
torch::Tensor step_mask(const torch::Tensor& length, int64_t b, int64_t time, torch::Device device);

// The steps of a microbatch up to the last one that is not padding in every row, 1 … time. One step at least,
// so that every parameter has a gradient.
int64_t longest_row(const torch::Tensor& length, int64_t time);

}  // namespace elbo
