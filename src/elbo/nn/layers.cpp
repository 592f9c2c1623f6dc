#include "elbo/nn/layers.h"

#include <fmt/ranges.h>
#include <sys/sysinfo.h>
#include <torch/types.h>

#include <cmath>
#include <ostream>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/nn/convolve.h"
#include "elbo/nn/linear.h"
#include "elbo/nn/precision.h"

namespace elbo {
namespace {

struct NamedActivation {
  std::string_view name;
  Activation function;
};

constexpr NamedActivation activations[] = {
    {"relu", [](const torch::Tensor& x) { return torch::relu(x); }},
    {"leaky_relu", [](const torch::Tensor& x) { return torch::leaky_relu(x); }},
    {"elu", [](const torch::Tensor& x) { return torch::elu(x); }},
    {"gelu", [](const torch::Tensor& x) { return torch::gelu(x); }},
    {"silu", [](const torch::Tensor& x) { return torch::silu(x); }},
    {"tanh", [](const torch::Tensor& x) { return torch::tanh(x); }},
    {"softplus", [](const torch::Tensor& x) { return torch::softplus(x); }},
};

}  // namespace

// A layer that does not fit in memory is an error that names the settings, before the system kills the
// process. Training keeps four values per weight: itself, its gradient and two moments of the optimiser.
void require_memory(torch::IntArrayRef sizes) {
  double bytes = 4.0 * sizeof(float);
  for (const int64_t size : sizes) bytes *= static_cast<double>(size);
  struct sysinfo machine = {};
  if (::sysinfo(&machine) != 0) return;
  const double all = static_cast<double>(machine.totalram) * machine.mem_unit;
  if (bytes > all)
    usage_error(
        "network.hidden, network.channels or model.*: a layer of {} weights needs {} of memory to train, "
        "this machine has {}; choose smaller layers",
        fmt::join(sizes, "×"), human_bytes(bytes), human_bytes(all));
}

torch::Tensor initial_values(torch::IntArrayRef sizes, int64_t fan_in, RandomGenerator& init) {
  require_memory(sizes);
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  return init.uniform(sizes).mul_(2.0 * bound).sub_(bound);
}

Linear::Linear(int64_t in, int64_t out, RandomGenerator& init)
    : weight_(register_parameter("weight", initial_values({out, in}, in, init))),
      bias_(register_parameter("bias", initial_values({out}, in, init))) {}

torch::Tensor Linear::forward(const torch::Tensor& x) {
  return in_matmul_precision(x, weight_, bias_, linear);
}

Conv2d::Conv2d(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
               RandomGenerator& init)
    : weight_(register_parameter("weight",
                                 initial_values({out, in, kernel, kernel}, in * kernel * kernel, init))),
      bias_(register_parameter("bias", initial_values({out}, in * kernel * kernel, init))),
      stride_(stride),
      padding_(padding) {}

torch::Tensor Conv2d::forward(const torch::Tensor& x) {
  return in_matmul_precision(x, weight_, bias_, [&](const auto& in, const auto& w, const auto& b) {
    return conv2d(in, w, b, stride_, padding_);
  });
}

void Conv2d::pretty_print(std::ostream& stream) const {
  stream << fmt::format("Conv2d(kernel_size={}, stride={}, padding={})", weight_.size(2), stride_, padding_);
}

// As in LibTorch, the fan-in of a transposed convolution is counted over its output channels.
ConvTranspose2d::ConvTranspose2d(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
                                 std::array<int64_t, 2> output_padding, RandomGenerator& init)
    : weight_(register_parameter("weight",
                                 initial_values({in, out, kernel, kernel}, out * kernel * kernel, init))),
      bias_(register_parameter("bias", initial_values({out}, out * kernel * kernel, init))),
      stride_(stride),
      padding_(padding),
      output_padding_(output_padding) {}

torch::Tensor ConvTranspose2d::forward(const torch::Tensor& x) {
  return in_matmul_precision(x, weight_, bias_, [&](const auto& in, const auto& w, const auto& b) {
    return conv_transpose2d(in, w, b, stride_, padding_, output_padding_);
  });
}

void ConvTranspose2d::pretty_print(std::ostream& stream) const {
  stream << fmt::format("ConvTranspose2d(kernel_size={}, stride={}, padding={}, output_padding=({}, {}))",
                        weight_.size(2), stride_, padding_, output_padding_[0], output_padding_[1]);
}

std::vector<std::string> activation_names() {
  std::vector<std::string> names;
  for (const NamedActivation& activation : activations) names.emplace_back(activation.name);
  return names;
}

Activation find_activation(const std::string& name) {
  for (const NamedActivation& activation : activations)
    if (activation.name == name) return activation.function;
  usage_error("network.activation={}: expected one of {}", name, join(activation_names(), ", "));
}

}  // namespace elbo
