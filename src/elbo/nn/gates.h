// The gates of recurrent cells, by the kernels in use (nn/kernels.h): with portable ones, for float32 on the
// CPU, a step, or a whole sequence, is one function with its own derivative.
#pragma once
#include <torch/types.h>

#include <cstdint>

namespace elbo {

// A step of a GRU (Cho et al. 2014, in LibTorch's order of gates): from_input and from_hidden (b, 3·hidden),
// state (b, hidden) → the next state (b, hidden).
torch::Tensor gru_step(const torch::Tensor& from_input, const torch::Tensor& from_hidden,
                       const torch::Tensor& state);

// A step of an LSTM: from_input and from_hidden (b, 4·hidden), state (b, 2·hidden), the output, then the cell
// state → the next state (b, 2·hidden).
torch::Tensor lstm_step(const torch::Tensor& from_input, const torch::Tensor& from_hidden,
                        const torch::Tensor& state);

// For derivatives of these functions, which are not differentiable: throws Error where their own derivative
// is asked for, as it would be lost in silence.
void require_first_derivative();

// Whether a sequence whose inputs are like x can be one function: with portable kernels, in float32.
bool has_sequence_kernel(const torch::Tensor& x);

// All steps, where from_hidden is output·weightᵀ + bias: from_input (steps, b, gates·hidden), weight
// (gates·hidden, hidden), bias (gates·hidden), the first state → the outputs (steps, b, hidden).
torch::Tensor gru_sequence(const torch::Tensor& from_input, const torch::Tensor& weight,
                           const torch::Tensor& bias, const torch::Tensor& state);
torch::Tensor lstm_sequence(const torch::Tensor& from_input, const torch::Tensor& weight,
                            const torch::Tensor& bias, const torch::Tensor& state);

// Rows of one step of a cell: what they are computed from, and their results. A cell computes `gates`·hidden
// numbers from its input and as many from the last output, keeps `kept`·hidden for its derivative, and has a
// state of `parts`·hidden, whose first part is the output.
struct CellRows {
  const float *input, *recurrent, *before;
  float *kept, *next;
};
struct CellSlopes {
  const float *kept, *recurrent, *before;
  const float* next;  // the gradient of the next state; below, those of what it is computed from
  float *input, *to_recurrent, *to_before;
};

// A step of a cell and its derivative with portable kernels, on `rows` rows in the memory of the device of
// `like`, for loops that keep what their steps need.
struct CellKernel {
  int64_t gates, kept, parts;
  void (*step)(const torch::Tensor& like, int64_t rows, int64_t hidden, CellRows first);
  void (*step_back)(const torch::Tensor& like, int64_t rows, int64_t hidden, CellSlopes first);
};
const CellKernel& gru_kernel();
const CellKernel& lstm_kernel();

}  // namespace elbo
