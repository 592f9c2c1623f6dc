// The gates of recurrent cells, by the kernels in use (nn/kernels.h): with portable ones, for float32 on the
// CPU, a step, or a whole sequence, is one function with its own derivative.
#pragma once
#include <torch/types.h>

namespace elbo {

// A step of a GRU (Cho et al. 2014, in LibTorch's order of gates): from_input and from_hidden (b, 3·hidden),
// state (b, hidden) → the next state (b, hidden).
torch::Tensor gru_step(const torch::Tensor& from_input, const torch::Tensor& from_hidden,
                       const torch::Tensor& state);

// A step of an LSTM: from_input and from_hidden (b, 4·hidden), state (b, 2·hidden), the output, then the cell
// state → the next state (b, 2·hidden).
torch::Tensor lstm_step(const torch::Tensor& from_input, const torch::Tensor& from_hidden,
                        const torch::Tensor& state);

// Whether a sequence whose inputs are like x can be one function: with portable kernels, in float32.
bool has_sequence_kernel(const torch::Tensor& x);

// All steps, where from_hidden is output·weightᵀ + bias: from_input (steps, b, gates·hidden), weight
// (gates·hidden, hidden), bias (gates·hidden), the first state → the outputs (steps, b, hidden).
torch::Tensor gru_sequence(const torch::Tensor& from_input, const torch::Tensor& weight,
                           const torch::Tensor& bias, const torch::Tensor& state);
torch::Tensor lstm_sequence(const torch::Tensor& from_input, const torch::Tensor& weight,
                            const torch::Tensor& bias, const torch::Tensor& state);

}  // namespace elbo
