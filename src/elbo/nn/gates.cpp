#include "elbo/nn/gates.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/nn/kernels.h"
#include "elbo/nn/precision.h"
#include "elbo/operators/compute.h"

namespace elbo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

const float* data_of(const torch::Tensor& x) { return x.const_data_ptr<float>(); }
float* memory_of(torch::Tensor& x) { return x.mutable_data_ptr<float>(); }

// Rows of `hidden` numbers: the function of each part of a row of gates.
void map_parts(Elementary function, float* row, int64_t first, int64_t end, int64_t hidden) {
  map(function, row + first * hidden, (end - first) * hidden, row + first * hidden);
}

// Keeps reset, update and candidate.
struct GruGates {
  static constexpr int64_t gates = 3, kept = 3, parts = 1;
  static constexpr auto step_on_gpu = gpu::gru_forward;
  static constexpr auto step_back_on_gpu = gpu::gru_backward;

  static void step(int64_t hidden, const CellRows& row) {
    const float *const i = row.input, *const h = row.recurrent, *const s = row.before;
    float* const g = row.kept;
    for (int64_t j = 0; j < 2 * hidden; ++j) g[j] = i[j] + h[j];
    map_parts(Elementary::sigmoid, g, 0, 2, hidden);
    for (int64_t j = 0; j < hidden; ++j) g[2 * hidden + j] = i[2 * hidden + j] + g[j] * h[2 * hidden + j];
    map_parts(Elementary::tanh, g, 2, 3, hidden);
    for (int64_t j = 0; j < hidden; ++j)
      row.next[j] = g[2 * hidden + j] + g[hidden + j] * (s[j] - g[2 * hidden + j]);
  }

  static void step_back(int64_t hidden, const CellSlopes& row) {
    const float *const g = row.kept, *const h = row.recurrent, *const s = row.before, *const d = row.next;
    for (int64_t j = 0; j < hidden; ++j) {
      const float reset = g[j], update = g[hidden + j], candidate = g[2 * hidden + j];
      const float d_candidate = d[j] * (1 - update) * (1 - candidate * candidate);
      const float d_update = d[j] * (s[j] - candidate) * update * (1 - update);
      const float d_reset = d_candidate * h[2 * hidden + j] * reset * (1 - reset);
      row.input[j] = d_reset;
      row.input[hidden + j] = d_update;
      row.input[2 * hidden + j] = d_candidate;
      row.to_recurrent[j] = d_reset;
      row.to_recurrent[hidden + j] = d_update;
      row.to_recurrent[2 * hidden + j] = d_candidate * reset;
      row.to_before[j] = d[j] * update;
    }
  }
};

// Keeps input, forget, cell and output gates, and the tanh of the next cell state. The state is the output,
// then the cell state.
struct LstmGates {
  static constexpr int64_t gates = 4, kept = 5, parts = 2;
  static constexpr auto step_on_gpu = gpu::lstm_forward;
  static constexpr auto step_back_on_gpu = gpu::lstm_backward;

  static void step(int64_t hidden, const CellRows& row) {
    const float* const c = row.before + hidden;
    float *const g = row.kept, *const t = g + 4 * hidden, *const next = row.next;
    for (int64_t j = 0; j < 4 * hidden; ++j) g[j] = row.input[j] + row.recurrent[j];
    map_parts(Elementary::sigmoid, g, 0, 2, hidden);
    map_parts(Elementary::tanh, g, 2, 3, hidden);
    map_parts(Elementary::sigmoid, g, 3, 4, hidden);
    for (int64_t j = 0; j < hidden; ++j) next[hidden + j] = g[hidden + j] * c[j] + g[j] * g[2 * hidden + j];
    map(Elementary::tanh, next + hidden, hidden, t);
    for (int64_t j = 0; j < hidden; ++j) next[j] = g[3 * hidden + j] * t[j];
  }

  static void step_back(int64_t hidden, const CellSlopes& row) {
    const float *const g = row.kept, *const t = g + 4 * hidden, *const c = row.before + hidden;
    const float* const d = row.next;
    for (int64_t j = 0; j < hidden; ++j) {
      const float in = g[j], forget = g[hidden + j], cell = g[2 * hidden + j], output = g[3 * hidden + j];
      const float d_state = d[hidden + j] + d[j] * output * (1 - t[j] * t[j]);
      row.input[j] = d_state * cell * in * (1 - in);
      row.input[hidden + j] = d_state * c[j] * forget * (1 - forget);
      row.input[2 * hidden + j] = d_state * in * (1 - cell * cell);
      row.input[3 * hidden + j] = d[j] * t[j] * output * (1 - output);
      row.to_before[j] = 0;
      row.to_before[hidden + j] = d_state * forget;
    }
    std::copy_n(row.input, 4 * hidden, row.to_recurrent);
  }
};

// A step of a cell on `rows` rows, from pointers to the first, on the device of the tensor `like`.
template <typename Cell>
void step_rows(const torch::Tensor& like, int64_t rows, int64_t hidden, CellRows row) {
  if (on_gpu(like))
    return Cell::step_on_gpu(row.input, row.recurrent, row.before, rows, hidden, row.kept, row.next);
  for (int64_t i = 0; i < rows; ++i) {
    Cell::step(hidden, row);
    row.input += Cell::gates * hidden;
    row.recurrent += Cell::gates * hidden;
    row.before += Cell::parts * hidden;
    row.kept += Cell::kept * hidden;
    row.next += Cell::parts * hidden;
  }
}
template <typename Cell>
void step_rows_back(const torch::Tensor& like, int64_t rows, int64_t hidden, CellSlopes row) {
  if (on_gpu(like))
    return Cell::step_back_on_gpu(row.kept, row.recurrent, row.before, row.next, rows, hidden, row.input,
                                  row.to_recurrent, row.to_before);
  for (int64_t i = 0; i < rows; ++i) {
    Cell::step_back(hidden, row);
    row.kept += Cell::kept * hidden;
    row.recurrent += Cell::gates * hidden;
    row.before += Cell::parts * hidden;
    row.next += Cell::parts * hidden;
    row.input += Cell::gates * hidden;
    row.to_recurrent += Cell::gates * hidden;
    row.to_before += Cell::parts * hidden;
  }
}

template <typename Cell>
constexpr CellKernel kernel_of() {
  return {Cell::gates, Cell::kept, Cell::parts, step_rows<Cell>, step_rows_back<Cell>};
}

template <typename Cell>
class PortableStep : public torch::autograd::Function<PortableStep<Cell>> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& from_input,
                               const torch::Tensor& from_hidden, const torch::Tensor& state) {
    const torch::Tensor input = from_input.contiguous(), recurrent = from_hidden.contiguous(),
                        before = state.contiguous();
    const int64_t rows = before.size(0), hidden = before.size(1) / Cell::parts;
    torch::Tensor kept = torch::empty({rows, Cell::kept * hidden}, before.options()),
                  next = torch::empty_like(before);
    step_rows<Cell>(before, rows, hidden,
                    {data_of(input), data_of(recurrent), data_of(before), memory_of(kept), memory_of(next)});
    context->save_for_backward({kept, recurrent, before});
    return next;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradient) {
    require_first_derivative();
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &kept = saved[0], &recurrent = saved[1], &before = saved[2];
    const torch::Tensor d_next = gradient[0].contiguous();
    torch::Tensor d_input = torch::empty_like(recurrent), d_hidden = torch::empty_like(recurrent),
                  d_state = torch::empty_like(before);
    step_rows_back<Cell>(before, before.size(0), before.size(1) / Cell::parts,
                         {data_of(kept), data_of(recurrent), data_of(before), data_of(d_next),
                          memory_of(d_input), memory_of(d_hidden), memory_of(d_state)});
    return {d_input, d_hidden, d_state};
  }
};

// A cell along a sequence. The gradients of the weight and the bias are chains over steps, then rows.
template <typename Cell>
class PortableSequence : public torch::autograd::Function<PortableSequence<Cell>> {
 public:
  // from_input (steps, b, gates·hidden), weight (gates·hidden, hidden), bias (gates·hidden), state (b,
  // parts·hidden) → outputs (steps, b, hidden).
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& from_input,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               const torch::Tensor& state) {
    const torch::Tensor input = from_input.contiguous(), w = weight.contiguous(), b = bias.contiguous();
    const int64_t steps = input.size(0), rows = input.size(1), width = w.size(0), hidden = w.size(1);
    torch::Tensor kept = torch::empty({steps, rows, Cell::kept * hidden}, input.options()),
                  recurrent = torch::empty_like(input),
                  states = torch::empty({steps + 1, rows, Cell::parts * hidden}, input.options());
    states.select(0, 0).copy_(state);
    for (int64_t step = 0; step < steps; ++step) {
      const float* const before = data_of(states) + step * rows * Cell::parts * hidden;
      KernelsOf(w).product({before, rows, hidden, Cell::parts * hidden, 1},
                           {data_of(w), hidden, width, 1, hidden}, data_of(b),
                           memory_of(recurrent) + step * rows * width);
      step_rows<Cell>(w, rows, hidden,
                      {data_of(input) + step * rows * width, data_of(recurrent) + step * rows * width, before,
                       memory_of(kept) + step * rows * Cell::kept * hidden,
                       memory_of(states) + (step + 1) * rows * Cell::parts * hidden});
    }
    context->save_for_backward({kept, recurrent, states, w});
    return states.narrow(0, 1, steps).narrow(2, 0, hidden).clone(torch::MemoryFormat::Contiguous);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradient) {
    require_first_derivative();
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &kept = saved[0], &recurrent = saved[1], &states = saved[2], &w = saved[3];
    const int64_t steps = recurrent.size(0), rows = recurrent.size(1), width = w.size(0), hidden = w.size(1);
    torch::Tensor d_input = torch::empty_like(recurrent), d_recurrent = torch::empty_like(recurrent);
    torch::Tensor d_next = torch::zeros({rows, Cell::parts * hidden}, w.options()),
                  d_before = torch::empty_like(d_next);
    for (int64_t step = steps - 1; step >= 0; --step) {
      torch::Tensor d_output = d_next.narrow(1, 0, hidden);
      d_output.add_(gradient[0].select(0, step));
      const int64_t at = step * rows;
      step_rows_back<Cell>(
          w, rows, hidden,
          {data_of(kept) + at * Cell::kept * hidden, data_of(recurrent) + at * width,
           data_of(states) + at * Cell::parts * hidden, data_of(d_next), memory_of(d_input) + at * width,
           memory_of(d_recurrent) + at * width, memory_of(d_before)});
      torch::Tensor through_output = d_before.narrow(1, 0, hidden).contiguous();
      KernelsOf(w).add_product({data_of(d_recurrent) + at * width, rows, width, width, 1},
                               {data_of(w), width, hidden, hidden, 1}, memory_of(through_output));
      if (Cell::parts > 1) d_before.narrow(1, 0, hidden).copy_(through_output);
      std::swap(d_next, d_before);
    }
    torch::Tensor d_weight = torch::empty_like(w), d_bias = torch::empty({width}, w.options());
    KernelsOf(w).product(MatrixView{data_of(d_recurrent), steps * rows, width, width, 1}.transposed(),
                         {data_of(states), steps * rows, hidden, Cell::parts * hidden, 1}, nullptr,
                         memory_of(d_weight));
    KernelsOf(w).column_sums(data_of(d_recurrent), 1, steps * rows, width, memory_of(d_bias));
    return {d_input, d_weight, d_bias, d_next};
  }
};

}  // namespace

torch::Tensor gru_step(const torch::Tensor& from_input, const torch::Tensor& from_hidden,
                       const torch::Tensor& state) {
  if (is_for_portable_kernels(state)) return PortableStep<GruGates>::apply(from_input, from_hidden, state);
  const int64_t hidden = state.size(1);
  const torch::Tensor gates =
      torch::sigmoid(from_input.narrow(1, 0, 2 * hidden) + from_hidden.narrow(1, 0, 2 * hidden));
  const torch::Tensor reset = gates.narrow(1, 0, hidden), update = gates.narrow(1, hidden, hidden);
  const torch::Tensor candidate = torch::tanh(from_input.narrow(1, 2 * hidden, hidden) +
                                              reset * from_hidden.narrow(1, 2 * hidden, hidden));
  return candidate + update * (state - candidate);
}

torch::Tensor lstm_step(const torch::Tensor& from_input, const torch::Tensor& from_hidden,
                        const torch::Tensor& state) {
  if (is_for_portable_kernels(state)) return PortableStep<LstmGates>::apply(from_input, from_hidden, state);
  const int64_t hidden = state.size(1) / 2;
  const std::vector<torch::Tensor> parts = (from_input + from_hidden).chunk(4, 1);
  const torch::Tensor remembered = torch::sigmoid(parts[1]) * state.narrow(1, hidden, hidden);
  const torch::Tensor next = remembered + torch::sigmoid(parts[0]) * torch::tanh(parts[2]);
  return torch::cat({torch::sigmoid(parts[3]) * torch::tanh(next), next}, 1);
}

void require_first_derivative() {
  if (torch::GradMode::is_enabled())
    fail("recurrent cells have no gradient of their gradient with elbo's kernels; use train.kernels=library");
}

const CellKernel& gru_kernel() {
  static constexpr CellKernel kernel = kernel_of<GruGates>();
  return kernel;
}

const CellKernel& lstm_kernel() {
  static constexpr CellKernel kernel = kernel_of<LstmGates>();
  return kernel;
}

bool has_sequence_kernel(const torch::Tensor& x) {
  return is_for_portable_kernels(x) && MatmulPrecision::current() == torch::kFloat32;
}

torch::Tensor gru_sequence(const torch::Tensor& from_input, const torch::Tensor& weight,
                           const torch::Tensor& bias, const torch::Tensor& state) {
  return PortableSequence<GruGates>::apply(from_input, weight, bias, state);
}

torch::Tensor lstm_sequence(const torch::Tensor& from_input, const torch::Tensor& weight,
                            const torch::Tensor& bias, const torch::Tensor& state) {
  return PortableSequence<LstmGates>::apply(from_input, weight, bias, state);
}

}  // namespace elbo
