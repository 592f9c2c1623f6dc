// Layers over sequences (b, time, features). First weights come from the Noise that they are given, as in
// nn/layers.h; those of recurrent cells from U(-1/√hidden, 1/√hidden).
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>

#include "base/random.h"

namespace elbo {

// A vector for each number: N(0, 1/width), so that its length is near 1.
class Embedding : public torch::nn::Module {
 public:
  Embedding(int64_t tokens, int64_t width, Noise& init);
  torch::Tensor forward(const torch::Tensor& numbers) const;  // (…) int64 → (…, width)

 private:
  torch::Tensor weight_;  // (tokens, width)
};

// The gated recurrent unit of Cho et al. 2014, with LibTorch's order of gates (reset, update, new).
class Gru : public torch::nn::Module {
 public:
  Gru(int64_t in, int64_t hidden, Noise& init);
  torch::Tensor step(const torch::Tensor& x, const torch::Tensor& state) const {  // (b, in), (b, hidden)
    return advance(projected(x), state);
  }
  // The states after each element, (b, time, in), (b, hidden) → (b, time, hidden).
  torch::Tensor unroll(const torch::Tensor& x, const torch::Tensor& state) const;

 private:
  torch::Tensor projected(const torch::Tensor& x) const;  // (…, in) → (…, 3·hidden)
  torch::Tensor advance(const torch::Tensor& projected, const torch::Tensor& state) const;

  torch::Tensor weight_ih_, weight_hh_, bias_ih_, bias_hh_;
};

// A convolution over time that sees the present and the past alone (van den Oord et al. 2016, WaveNet).
class CausalConv1d : public torch::nn::Module {
 public:
  CausalConv1d(int64_t in, int64_t out, int64_t kernel, int64_t dilation, Noise& init);
  torch::Tensor forward(const torch::Tensor& x) const;  // (b, in, time) → (b, out, time)

 private:
  torch::Tensor weight_, bias_;  // (out, in, kernel), (out)
  int64_t past_, dilation_;
};

// (b, time) float32: 1 where a step lies before its sequence's `length` (b), which is undefined where all do.
torch::Tensor step_mask(const torch::Tensor& length, int64_t b, int64_t time, torch::Device device);

}  // namespace elbo
