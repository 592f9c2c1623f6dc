#include "elbo/nn/gates.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include "elbo/base/error.h"
#include "elbo/kernels/functions.h"
#include "elbo/nn/kernels.h"

namespace elbo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

const float* data_of(const torch::Tensor& x) { return x.const_data_ptr<float>(); }

// Rows of `hidden` numbers: the function of each part of a row of gates.
void map_parts(Elementary function, float* row, int64_t first, int64_t end, int64_t hidden) {
  map(function, row + first * hidden, (end - first) * hidden, row + first * hidden);
}

// The derivatives below are not differentiable: their own derivative would be lost in silence.
void require_first_derivative() {
  if (torch::GradMode::is_enabled())
    fail("recurrent cells have no gradient of their gradient with train.kernels=portable; use library");
}

class PortableGru : public torch::autograd::Function<PortableGru> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& from_input,
                               const torch::Tensor& from_hidden, const torch::Tensor& state) {
    const torch::Tensor input = from_input.contiguous(), recurrent = from_hidden.contiguous(),
                        before = state.contiguous();
    const int64_t rows = before.size(0), hidden = before.size(1);
    // Reset, update and candidate of each row.
    torch::Tensor gates = torch::empty_like(input), next = torch::empty_like(before);
    for (int64_t row = 0; row < rows; ++row) {
      const float *i = data_of(input) + 3 * hidden * row, *h = data_of(recurrent) + 3 * hidden * row,
                  *s = data_of(before) + hidden * row;
      float *g = gates.mutable_data_ptr<float>() + 3 * hidden * row,
            *out = next.mutable_data_ptr<float>() + hidden * row;
      for (int64_t j = 0; j < 2 * hidden; ++j) g[j] = i[j] + h[j];
      map_parts(Elementary::sigmoid, g, 0, 2, hidden);
      for (int64_t j = 0; j < hidden; ++j) g[2 * hidden + j] = i[2 * hidden + j] + g[j] * h[2 * hidden + j];
      map_parts(Elementary::tanh, g, 2, 3, hidden);
      for (int64_t j = 0; j < hidden; ++j)
        out[j] = g[2 * hidden + j] + g[hidden + j] * (s[j] - g[2 * hidden + j]);
    }
    context->save_for_backward({gates, recurrent, before});
    return next;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradient) {
    require_first_derivative();
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &gates = saved[0], &recurrent = saved[1], &before = saved[2];
    const torch::Tensor d_next = gradient[0].contiguous();
    const int64_t rows = before.size(0), hidden = before.size(1);
    torch::Tensor d_input = torch::empty_like(gates), d_hidden = torch::empty_like(gates),
                  d_state = torch::empty_like(before);
    for (int64_t row = 0; row < rows; ++row) {
      const float *g = data_of(gates) + 3 * hidden * row, *h = data_of(recurrent) + 3 * hidden * row,
                  *s = data_of(before) + hidden * row, *d = data_of(d_next) + hidden * row;
      float *di = d_input.mutable_data_ptr<float>() + 3 * hidden * row,
            *dh = d_hidden.mutable_data_ptr<float>() + 3 * hidden * row,
            *ds = d_state.mutable_data_ptr<float>() + hidden * row;
      for (int64_t j = 0; j < hidden; ++j) {
        const float reset = g[j], update = g[hidden + j], candidate = g[2 * hidden + j];
        const float d_candidate = d[j] * (1 - update) * (1 - candidate * candidate);
        const float d_update = d[j] * (s[j] - candidate) * update * (1 - update);
        const float d_reset = d_candidate * h[2 * hidden + j] * reset * (1 - reset);
        di[j] = d_reset;
        di[hidden + j] = d_update;
        di[2 * hidden + j] = d_candidate;
        dh[j] = d_reset;
        dh[hidden + j] = d_update;
        dh[2 * hidden + j] = d_candidate * reset;
        ds[j] = d[j] * update;
      }
    }
    return {d_input, d_hidden, d_state};
  }
};

class PortableLstm : public torch::autograd::Function<PortableLstm> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& sums,
                               const torch::Tensor& cell_state) {
    const torch::Tensor before = cell_state.contiguous();
    const int64_t rows = before.size(0), hidden = before.size(1);
    // Input, forget, cell and output gates of each row; then the tanh of the next cell state.
    torch::Tensor gates = sums.clone(torch::MemoryFormat::Contiguous), squashed = torch::empty_like(before),
                  next = torch::empty({rows, 2 * hidden}, before.options());
    for (int64_t row = 0; row < rows; ++row) {
      float *g = gates.mutable_data_ptr<float>() + 4 * hidden * row,
            *t = squashed.mutable_data_ptr<float>() + hidden * row,
            *out = next.mutable_data_ptr<float>() + 2 * hidden * row;
      const float* c = data_of(before) + hidden * row;
      map_parts(Elementary::sigmoid, g, 0, 2, hidden);
      map_parts(Elementary::tanh, g, 2, 3, hidden);
      map_parts(Elementary::sigmoid, g, 3, 4, hidden);
      for (int64_t j = 0; j < hidden; ++j) out[hidden + j] = g[hidden + j] * c[j] + g[j] * g[2 * hidden + j];
      map(Elementary::tanh, out + hidden, hidden, t);
      for (int64_t j = 0; j < hidden; ++j) out[j] = g[3 * hidden + j] * t[j];
    }
    context->save_for_backward({gates, squashed, before});
    return next;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradient) {
    require_first_derivative();
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &gates = saved[0], &squashed = saved[1], &before = saved[2];
    const torch::Tensor d_next = gradient[0].contiguous();
    const int64_t rows = before.size(0), hidden = before.size(1);
    torch::Tensor d_sums = torch::empty_like(gates), d_cell = torch::empty_like(before);
    for (int64_t row = 0; row < rows; ++row) {
      const float *g = data_of(gates) + 4 * hidden * row, *t = data_of(squashed) + hidden * row,
                  *c = data_of(before) + hidden * row, *d = data_of(d_next) + 2 * hidden * row;
      float *ds = d_sums.mutable_data_ptr<float>() + 4 * hidden * row,
            *dc = d_cell.mutable_data_ptr<float>() + hidden * row;
      for (int64_t j = 0; j < hidden; ++j) {
        const float in = g[j], forget = g[hidden + j], cell = g[2 * hidden + j], output = g[3 * hidden + j];
        const float d_state = d[hidden + j] + d[j] * output * (1 - t[j] * t[j]);
        ds[j] = d_state * cell * in * (1 - in);
        ds[hidden + j] = d_state * c[j] * forget * (1 - forget);
        ds[2 * hidden + j] = d_state * in * (1 - cell * cell);
        ds[3 * hidden + j] = d[j] * t[j] * output * (1 - output);
        dc[j] = d_state * forget;
      }
    }
    return {d_sums, d_cell};
  }
};

}  // namespace

torch::Tensor gru_step(const torch::Tensor& from_input, const torch::Tensor& from_hidden,
                       const torch::Tensor& state) {
  if (is_for_portable_kernels(state)) return PortableGru::apply(from_input, from_hidden, state);
  const int64_t hidden = state.size(1);
  const torch::Tensor gates =
      torch::sigmoid(from_input.narrow(1, 0, 2 * hidden) + from_hidden.narrow(1, 0, 2 * hidden));
  const torch::Tensor reset = gates.narrow(1, 0, hidden), update = gates.narrow(1, hidden, hidden);
  const torch::Tensor candidate = torch::tanh(from_input.narrow(1, 2 * hidden, hidden) +
                                              reset * from_hidden.narrow(1, 2 * hidden, hidden));
  return candidate + update * (state - candidate);
}

torch::Tensor lstm_step(const torch::Tensor& gates, const torch::Tensor& cell_state) {
  if (is_for_portable_kernels(cell_state)) return PortableLstm::apply(gates, cell_state);
  const std::vector<torch::Tensor> parts = gates.chunk(4, 1);
  const torch::Tensor remembered = torch::sigmoid(parts[1]) * cell_state;
  const torch::Tensor next = remembered + torch::sigmoid(parts[0]) * torch::tanh(parts[2]);
  return torch::cat({torch::sigmoid(parts[3]) * torch::tanh(next), next}, 1);
}

}  // namespace elbo
