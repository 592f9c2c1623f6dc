// Steps of recurrent cells (nn/gates.cpp), the Bernoulli likelihood (nn/bernoulli.h), and an optimiser's
// update.
#include "elbo/kernels/adam_element.h"
#include "elbo/kernels/bernoulli_element.h"
#include "elbo/kernels/cuda/tasks.h"

namespace elbo {

__device__ inline float sigmoid_of_float(float x) { return sigmoid_of(Vector::all(x)).value; }
__device__ inline float tanh_of_float(float x) { return tanh_of(Vector::all(x)).value; }

}  // namespace elbo

// Kept of a row: reset, update, candidate.
extern "C" __global__ void gru_forward(const float* from_input, const float* from_hidden, const float* state,
                                       int64_t rows, int64_t hidden, float* gates, float* next) {
  for (int64_t i = elbo::first_element(); i < rows * hidden; i += elbo::all_threads()) {
    const int64_t j = i / hidden * 3 * hidden + i % hidden;
    const float reset = elbo::sigmoid_of_float(from_input[j] + from_hidden[j]);
    const float update = elbo::sigmoid_of_float(from_input[j + hidden] + from_hidden[j + hidden]);
    const float candidate =
        elbo::tanh_of_float(from_input[j + 2 * hidden] + reset * from_hidden[j + 2 * hidden]);
    gates[j] = reset;
    gates[j + hidden] = update;
    gates[j + 2 * hidden] = candidate;
    next[i] = candidate + update * (state[i] - candidate);
  }
}

extern "C" __global__ void gru_backward(const float* gates, const float* from_hidden, const float* state,
                                        const float* d_next, int64_t rows, int64_t hidden, float* d_input,
                                        float* d_hidden, float* d_state) {
  for (int64_t i = elbo::first_element(); i < rows * hidden; i += elbo::all_threads()) {
    const int64_t j = i / hidden * 3 * hidden + i % hidden;
    const float reset = gates[j], update = gates[j + hidden], candidate = gates[j + 2 * hidden],
                d = d_next[i];
    const float d_candidate = d * (1 - update) * (1 - candidate * candidate);
    const float d_update = d * (state[i] - candidate) * update * (1 - update);
    const float d_reset = d_candidate * from_hidden[j + 2 * hidden] * reset * (1 - reset);
    d_input[j] = d_reset;
    d_input[j + hidden] = d_update;
    d_input[j + 2 * hidden] = d_candidate;
    d_hidden[j] = d_reset;
    d_hidden[j + hidden] = d_update;
    d_hidden[j + 2 * hidden] = d_candidate * reset;
    d_state[i] = d * update;
  }
}

// Kept of a row: input, forget, cell and output gates, the tanh of the next cell state. A state: the output,
// then the cell state.
extern "C" __global__ void lstm_forward(const float* input, const float* recurrent, const float* before,
                                        int64_t rows, int64_t hidden, float* kept, float* next) {
  for (int64_t i = elbo::first_element(); i < rows * hidden; i += elbo::all_threads()) {
    const int64_t row = i / hidden, unit = i % hidden, j = row * 4 * hidden + unit;
    const float in = elbo::sigmoid_of_float(input[j] + recurrent[j]);
    const float forget = elbo::sigmoid_of_float(input[j + hidden] + recurrent[j + hidden]);
    const float cell = elbo::tanh_of_float(input[j + 2 * hidden] + recurrent[j + 2 * hidden]);
    const float output = elbo::sigmoid_of_float(input[j + 3 * hidden] + recurrent[j + 3 * hidden]);
    const float state = forget * before[(2 * row + 1) * hidden + unit] + in * cell;
    const float size = elbo::tanh_of_float(state);
    float* const g = kept + row * 5 * hidden + unit;
    g[0] = in;
    g[hidden] = forget;
    g[2 * hidden] = cell;
    g[3 * hidden] = output;
    g[4 * hidden] = size;
    next[2 * row * hidden + unit] = output * size;
    next[(2 * row + 1) * hidden + unit] = state;
  }
}

extern "C" __global__ void lstm_backward(const float* kept, const float* /*recurrent*/, const float* before,
                                         const float* d_next, int64_t rows, int64_t hidden, float* d_input,
                                         float* d_recurrent, float* d_before) {
  for (int64_t i = elbo::first_element(); i < rows * hidden; i += elbo::all_threads()) {
    const int64_t row = i / hidden, unit = i % hidden, j = row * 4 * hidden + unit;
    const int64_t of_output = 2 * row * hidden + unit, of_cell = of_output + hidden;
    const float* const g = kept + row * 5 * hidden + unit;
    const float in = g[0], forget = g[hidden], cell = g[2 * hidden], output = g[3 * hidden],
                size = g[4 * hidden];
    const float d = d_next[of_output], d_state = d_next[of_cell] + d * output * (1 - size * size);
    const float slopes[] = {d_state * cell * in * (1 - in), d_state * before[of_cell] * forget * (1 - forget),
                            d_state * in * (1 - cell * cell), d * size * output * (1 - output)};
    for (int gate = 0; gate < 4; ++gate) {
      d_input[j + gate * hidden] = slopes[gate];
      d_recurrent[j + gate * hidden] = slopes[gate];
    }
    d_before[of_output] = 0;
    d_before[of_cell] = d_state * forget;
  }
}

// Rows of logits share the rows of x in turn. Sixteen threads a row.
extern "C" __global__ void bernoulli_rows(const float* logits, const float* x, int64_t rows, int64_t x_rows,
                                          int64_t features, float* log_prob, float* slope) {
  constexpr int slots = elbo::threads_of_block / elbo::lanes_of_row;
  __shared__ float sums[slots][elbo::lanes_of_row];
  const int slot = static_cast<int>(threadIdx.x) / elbo::lanes_of_row;
  const int lane = static_cast<int>(threadIdx.x) % elbo::lanes_of_row;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * slots; first < rows;
       first += static_cast<int64_t>(gridDim.x) * slots) {
    const int64_t row = first + slot;
    float sum = 0;
    if (row < rows)
      for (int64_t i = lane; i < features; i += elbo::lanes_of_row) {
        const elbo::BernoulliElement here = elbo::bernoulli_element(
            elbo::Vector{logits[row * features + i]}, elbo::Vector{x[row % x_rows * features + i]});
        sum += here.log_prob.value;
        slope[row * features + i] = here.slope.value;
      }
    sums[slot][lane] = sum;
    __syncthreads();
    if (row < rows && lane == 0) {
      double total = 0;
      for (int other = 0; other < elbo::lanes_of_row; ++other)
        total += static_cast<double>(sums[slot][other]);
      log_prob[row] = static_cast<float>(total);
    }
    __syncthreads();
  }
}

extern "C" __global__ void adam_update(int64_t n, elbo::AdamFactors factors, const float* gradient,
                                       float* parameters, float* exp_avg, float* exp_avg_sq) {
  for (int64_t i = elbo::first_element(); i < n; i += elbo::all_threads())
    elbo::adam_element(factors, gradient[i], parameters[i], exp_avg[i], exp_avg_sq[i]);
}
