// The gates of recurrent cells, by the kernels in use (nn/kernels.h): with portable ones, for float32 on the
// CPU, a step is one function with its own derivative.
#pragma once
#include <torch/types.h>

namespace elbo {

// A step of a GRU (Cho et al. 2014, in LibTorch's order of gates): from_input and from_hidden (b, 3·hidden),
// state (b, hidden) → the next state (b, hidden).
torch::Tensor gru_step(const torch::Tensor& from_input, const torch::Tensor& from_hidden,
                       const torch::Tensor& state);

// A step of an LSTM: gates (b, 4·hidden), the cell state (b, hidden) → the output and the next cell state,
// (b, 2·hidden).
torch::Tensor lstm_step(const torch::Tensor& gates, const torch::Tensor& cell_state);

}  // namespace elbo
