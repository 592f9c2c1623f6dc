#include "elbo/nn/layers.h"

#include <fmt/ranges.h>
#include <sys/sysinfo.h>
#include <torch/types.h>

#include <cmath>
#include <iterator>
#include <numbers>
#include <ostream>
#include <string_view>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/kernels/gradient_sums.h"
#include "elbo/nn/dense.h"
#include "elbo/nn/precision.h"

namespace elbo {
namespace {

struct NamedActivation {
  std::string_view name;
  Activation function;
  double gain;
};

constexpr NamedActivation activations[] = {
    {"relu", [](const torch::Tensor& x) { return torch::relu(x); }, std::numbers::sqrt2},
    {"leaky_relu", [](const torch::Tensor& x) { return torch::leaky_relu(x); }, std::numbers::sqrt2},
    {"elu", [](const torch::Tensor& x) { return torch::elu(x); }, std::numbers::sqrt2},
    {"gelu", [](const torch::Tensor& x) { return torch::gelu(x); }, std::numbers::sqrt2},
    {"silu", [](const torch::Tensor& x) { return torch::silu(x); }, std::numbers::sqrt2},
    {"tanh", [](const torch::Tensor& x) { return torch::tanh(x); }, 1},
    {"softplus", [](const torch::Tensor& x) { return torch::softplus(x); }, 1},
};

const NamedActivation& named(const std::string& name) {
  for (const NamedActivation& activation : activations)
    if (activation.name == name) return activation;
  usage_error("network.activation={}: expected one of {}", name, join(activation_names(), ", "));
}

int64_t kernel_volume(int64_t side, int64_t dimensions) {
  int64_t product = 1;
  for (int64_t i = 0; i < dimensions; ++i) product *= side;
  return product;
}

// `sizes`, then the kernel; fan_in: channels that an output is a sum over, at each place of the kernel.
torch::Tensor convolution_weights(std::vector<int64_t> sizes, int64_t kernel, int64_t spatial, int64_t fan_in,
                                  RandomGenerator& init) {
  sizes.insert(sizes.end(), static_cast<size_t>(spatial), kernel);
  return initial_values(sizes, fan_in * kernel_volume(kernel, spatial), init);
}

// x (b, in, …sides), where the sides are (height, width) or (depth, height, width).
torch::Tensor convolve(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                       int64_t stride, int64_t padding, bool transposed,
                       const std::vector<int64_t>& output_padding) {
  const auto spatial = static_cast<size_t>(x.dim() - 2);
  const std::vector<int64_t> strides(spatial, stride), paddings(spatial, padding), ones(spatial, 1);
  const torch::MemoryFormat format =
      spatial == 3 ? torch::MemoryFormat::ChannelsLast3d : torch::MemoryFormat::ChannelsLast;
  return in_matmul_precision(x, weight, bias, [&](const auto& in, const auto& w, const auto& b) {
    return torch::convolution(in.contiguous(format), w, b, strides, paddings, ones, transposed,
                              output_padding, /*groups=*/1);
  });
}

// From U(-1/√from, 1/√from) to the standard deviation gain/√fan_in.
void scale_initial(torch::Tensor& weight, torch::Tensor& bias, double gain, double from, double fan_in) {
  const torch::NoGradGuard no_grad;
  weight.mul_(gain * std::sqrt(3.0 * from / fan_in));
  bias.zero_();
}

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
  before_use();
  return in_matmul_precision(x, weight_, bias_, dense);
}

Linear::Parameters Linear::use() const {
  before_use();
  if (weight_.is_cpu() && weight_.scalar_type() == torch::kFloat32)
    GradientSums::exclude(weight_.const_data_ptr<float>());
  return {weight_, bias_};
}

void Linear::scale_weights(double gain) { scale_initial(weight_, bias_, gain, 1, 1); }

Convolution::Convolution(int64_t spatial, int64_t in, int64_t out, int64_t kernel, int64_t stride,
                         int64_t padding, RandomGenerator& init)
    : weight_(register_parameter("weight", convolution_weights({out, in}, kernel, spatial, in, init))),
      bias_(register_parameter("bias", initial_values({out}, in * kernel_volume(kernel, spatial), init))),
      stride_(stride),
      padding_(padding) {}

torch::Tensor Convolution::forward(const torch::Tensor& x) {
  before_use();
  const std::vector<int64_t> none(static_cast<size_t>(x.dim() - 2), 0);
  return convolve(x, weight_, bias_, stride_, padding_, /*transposed=*/false, none);
}

void Convolution::scale_weights(double gain) { scale_initial(weight_, bias_, gain, 1, 1); }

void Convolution::pretty_print(std::ostream& stream) const {
  stream << fmt::format("Conv{}d(kernel_size={}, stride={}, padding={})", weight_.dim() - 2, weight_.size(2),
                        stride_, padding_);
}

// As in LibTorch, the fan-in of a transposed convolution is counted over its output channels.
TransposedConvolution::TransposedConvolution(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                                             int64_t padding, std::vector<int64_t> output_padding,
                                             RandomGenerator& init)
    : weight_(register_parameter(
          "weight", convolution_weights({in, out}, kernel, std::ssize(output_padding), out, init))),
      bias_(register_parameter(
          "bias", initial_values({out}, out * kernel_volume(kernel, std::ssize(output_padding)), init))),
      stride_(stride),
      padding_(padding),
      output_padding_(std::move(output_padding)) {}

torch::Tensor TransposedConvolution::forward(const torch::Tensor& x) {
  before_use();
  return convolve(x, weight_, bias_, stride_, padding_, /*transposed=*/true, output_padding_);
}

void TransposedConvolution::scale_weights(double gain) {
  const auto spatial = static_cast<double>(weight_.dim() - 2);
  const double inputs = static_cast<double>(weight_.size(0)) / std::pow(stride_, spatial);
  scale_initial(weight_, bias_, gain, static_cast<double>(weight_.size(1)), inputs);
}

void TransposedConvolution::pretty_print(std::ostream& stream) const {
  stream << fmt::format("ConvTranspose{}d(kernel_size={}, stride={}, padding={}, output_padding=({}))",
                        weight_.dim() - 2, weight_.size(2), stride_, padding_,
                        fmt::join(output_padding_, ", "));
}

std::vector<std::string> activation_names() {
  std::vector<std::string> names;
  for (const NamedActivation& activation : activations) names.emplace_back(activation.name);
  return names;
}

Activation find_activation(const std::string& name) { return named(name).function; }

double activation_gain(const std::string& name) { return named(name).gain; }

}  // namespace elbo
