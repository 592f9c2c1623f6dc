#include "elbo/nn/recurrent.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/nn/gates.h"
#include "elbo/nn/layers.h"
#include "elbo/nn/precision.h"

namespace elbo {
Embedding::Embedding(int64_t tokens, int64_t width, RandomGenerator& init) {
  require_memory({tokens, width});
  weight_ =
      register_parameter("weight", init.normal({tokens, width}).div_(std::sqrt(static_cast<double>(width))));
}

torch::Tensor Embedding::forward(const torch::Tensor& tokens) const {
  before_use();
  return torch::embedding(weight_, tokens);
}

RecurrentCell::RecurrentCell(int64_t in, int64_t hidden, int64_t gates, int64_t parts, RandomGenerator& init)
    : hidden_(hidden),
      state_parts_(parts),
      weight_ih_(register_parameter("weight_ih", initial_values({gates * hidden, in}, hidden, init))),
      weight_hh_(register_parameter("weight_hh", initial_values({gates * hidden, hidden}, hidden, init))),
      bias_ih_(register_parameter("bias_ih", initial_values({gates * hidden}, hidden, init))),
      bias_hh_(register_parameter("bias_hh", initial_values({gates * hidden}, hidden, init))) {}

torch::Tensor RecurrentCell::input_gates(const torch::Tensor& x) const {
  return in_matmul_precision(x, weight_ih_, bias_ih_, torch::linear);
}

torch::Tensor RecurrentCell::hidden_gates(const torch::Tensor& output) const {
  return in_matmul_precision(output, weight_hh_, bias_hh_, torch::linear);
}

Linear::Parameters RecurrentCell::use_input_layer() const {
  before_use();
  return {weight_ih_, bias_ih_};
}

Linear::Parameters RecurrentCell::use_hidden_layer() const {
  before_use();
  return {weight_hh_, bias_hh_};
}

// One matrix product for all elements is faster than one per element. It includes the padding, because the
// sums of its gradient would be added in another order without.
torch::Tensor RecurrentCell::unroll(const torch::Tensor& x, const torch::Tensor& state, int64_t steps) const {
  before_use();
  const torch::Tensor from_input = input_gates(x);
  if (has_sequence_kernel(x)) {
    const torch::Tensor outputs = advance_all(from_input.transpose(0, 1).narrow(0, 0, steps), state);
    return torch::constant_pad_nd(outputs, {0, 0, 0, 0, 0, x.size(1) - steps}).transpose(0, 1).contiguous();
  }
  const std::vector<torch::Tensor> elements = from_input.unbind(1);
  std::vector<torch::Tensor> outputs;
  outputs.reserve(elements.size());
  torch::Tensor now = state;
  for (int64_t step = 0; step < steps; ++step) {
    now = advance(elements[static_cast<size_t>(step)], now);
    outputs.push_back(output(now));
  }
  outputs.resize(elements.size(), torch::zeros_like(outputs.front()));
  return torch::stack(outputs, 1);
}

torch::Tensor Gru::advance(const torch::Tensor& from_input, const torch::Tensor& state) const {
  return gru_step(from_input, hidden_gates(state), state);
}

torch::Tensor Gru::advance_all(const torch::Tensor& from_input, const torch::Tensor& state) const {
  return gru_sequence(from_input, hidden_weight(), hidden_bias(), state);
}

torch::Tensor Lstm::advance(const torch::Tensor& from_input, const torch::Tensor& state) const {
  return lstm_step(from_input, hidden_gates(output(state)), state);
}

torch::Tensor Lstm::advance_all(const torch::Tensor& from_input, const torch::Tensor& state) const {
  return lstm_sequence(from_input, hidden_weight(), hidden_bias(), state);
}

std::vector<std::string> cell_names() { return {"gru", "lstm"}; }

std::shared_ptr<RecurrentCell> make_cell(const std::string& name, int64_t in, int64_t hidden,
                                         RandomGenerator& init) {
  if (name == "gru") return std::make_shared<Gru>(in, hidden, init);
  if (name == "lstm") return std::make_shared<Lstm>(in, hidden, init);
  usage_error("model.cell={}: expected one of {}", name, join(cell_names(), ", "));
}

CausalConv1d::CausalConv1d(int64_t in, int64_t out, int64_t kernel, int64_t dilation, RandomGenerator& init)
    : weight_(register_parameter("weight", initial_values({out, in, kernel}, in * kernel, init))),
      bias_(register_parameter("bias", initial_values({out}, in * kernel, init))),
      past_((kernel - 1) * dilation),
      dilation_(dilation) {}

torch::Tensor CausalConv1d::forward(const torch::Tensor& x) const {
  before_use();
  return in_matmul_precision(torch::constant_pad_nd(x, {past_, 0}), weight_, bias_,
                             [&](const auto& in, const auto& w, const auto& b) {
                               return torch::conv1d(in, w, b, {1}, torch::IntArrayRef{0}, {dilation_});
                             });
}

void CausalConv1d::pretty_print(std::ostream& stream) const {
  stream << fmt::format("CausalConv1d(kernel_size={}, dilation={}, left_padding={})", weight_.size(2),
                        dilation_, past_);
}

int64_t longest_row(const torch::Tensor& length, int64_t time) {
  return length.defined() ? std::max<int64_t>(1, length.max().item<int64_t>()) : time;
}

torch::Tensor step_mask(const torch::Tensor& length, int64_t b, int64_t time, torch::Device device) {
  if (!length.defined()) return torch::ones({b, time}, device);
  return torch::arange(time, torch::TensorOptions(torch::kInt64).device(device))
      .unsqueeze(0)
      .lt(length.unsqueeze(1))
      .to(torch::kFloat32);
}

}  // namespace elbo
