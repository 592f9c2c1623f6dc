// Layers over sequences (b, time, features). First weights come from the Noise that they are given, as in
// nn/layers.h; those of recurrent cells from U(-1/√hidden, 1/√hidden).
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/random.h"

namespace elbo {

// A vector for each number: N(0, 1/width), so that its length is near 1.
class Embedding : public torch::nn::Module {
 public:
  Embedding(int64_t tokens, int64_t width, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& numbers) const;  // (…) int64 → (…, width)

 private:
  torch::Tensor weight_;  // (tokens, width)
};

// What a recurrent network does with one element. Its state is one tensor (b, state_size()), whose first
// `hidden` columns are the output.
class RecurrentCell : public torch::nn::Module {
 public:
  int64_t state_size() const { return memories_ * hidden_; }
  torch::Tensor output(const torch::Tensor& state) const { return state.narrow(1, 0, hidden_); }

  torch::Tensor step(const torch::Tensor& x, const torch::Tensor& state) const {  // (b, in) → (b, state_size)
    return advance(projected(x), state);
  }
  // The outputs after each element, (b, time, in), (b, state_size) → (b, time, hidden).
  torch::Tensor unroll(const torch::Tensor& x, const torch::Tensor& state) const;

 protected:
  // gates: vectors of the size `hidden` that a step computes; memories: those that the state is made of.
  RecurrentCell(int64_t in, int64_t hidden, int64_t gates, int64_t memories, RandomGenerator& init);
  torch::Tensor recurrent(const torch::Tensor& output) const;  // (b, hidden) → (b, gates·hidden)
  int64_t hidden() const { return hidden_; }

 private:
  torch::Tensor projected(const torch::Tensor& x) const;  // (…, in) → (…, gates·hidden)
  virtual torch::Tensor advance(const torch::Tensor& projected, const torch::Tensor& state) const = 0;

  int64_t hidden_, memories_;
  torch::Tensor weight_ih_, weight_hh_, bias_ih_, bias_hh_;
};

// The gated recurrent unit of Cho et al. 2014, with LibTorch's order of gates (reset, update, new).
class Gru : public RecurrentCell {
 public:
  Gru(int64_t in, int64_t hidden, RandomGenerator& init) : RecurrentCell(in, hidden, 3, 1, init) {}

 private:
  torch::Tensor advance(const torch::Tensor& projected, const torch::Tensor& state) const override;
};

// Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, in LibTorch's order of gates
// (input, forget, cell, output). Its state is the output, then the memory.
class Lstm : public RecurrentCell {
 public:
  Lstm(int64_t in, int64_t hidden, RandomGenerator& init) : RecurrentCell(in, hidden, 4, 2, init) {}

 private:
  torch::Tensor advance(const torch::Tensor& projected, const torch::Tensor& state) const override;
};

std::vector<std::string> cell_names();  // gru, lstm
std::shared_ptr<RecurrentCell> make_cell(const std::string& name, int64_t in, int64_t hidden, RandomGenerator& init);

// A convolution over time that sees the present and the past alone (van den Oord et al. 2016, WaveNet).
class CausalConv1d : public torch::nn::Module {
 public:
  CausalConv1d(int64_t in, int64_t out, int64_t kernel, int64_t dilation, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x) const;  // (b, in, time) → (b, out, time)

 private:
  torch::Tensor weight_, bias_;  // (out, in, kernel), (out)
  int64_t past_, dilation_;
};

// (b, time) float32: 1 where a step lies before its sequence's `length` (b), which is undefined where all do.
torch::Tensor step_mask(const torch::Tensor& length, int64_t b, int64_t time, torch::Device device);

}  // namespace elbo
