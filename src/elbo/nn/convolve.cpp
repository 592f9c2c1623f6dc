#include "elbo/nn/convolve.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include "elbo/kernels/patches.h"
#include "elbo/kernels/product.h"
#include "elbo/nn/kernels.h"

namespace elbo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr torch::MemoryFormat channels_last = torch::MemoryFormat::ChannelsLast;

// (n, m) with contiguous rows.
MatrixView matrix(const torch::Tensor& x, int64_t rows) {
  return {x.const_data_ptr<float>(), rows, x.numel() / rows, x.numel() / rows, 1};
}

// (c, d, k, k) → (c, k, k, d), contiguous: a row for each c.
torch::Tensor by_pixel(const torch::Tensor& weight) { return weight.permute({0, 2, 3, 1}).contiguous(); }

torch::Tensor by_channel(const torch::Tensor& weight) { return weight.permute({0, 3, 1, 2}).contiguous(); }

torch::Tensor images_like(const torch::Tensor& x, const Patches& shape, int64_t channels) {
  return torch::empty({shape.images, channels, shape.rows, shape.columns}, x.options(), channels_last);
}

torch::Tensor gather(const Patches& shape, const torch::Tensor& images) {
  torch::Tensor patches = torch::empty({shape.count(), shape.size()}, images.options());
  gather_patches(shape, images.const_data_ptr<float>(), patches.mutable_data_ptr<float>());
  return patches;
}

// The sum over images and pixels of each channel: channels-last (b, c, h, w) → (c).
torch::Tensor sum_of_channels(const torch::Tensor& images) {
  torch::Tensor sums = torch::empty({images.size(1)}, images.options());
  column_sums(images.const_data_ptr<float>(), images.numel() / images.size(1), images.size(1),
              sums.mutable_data_ptr<float>());
  return sums;
}

void save_shape(AutogradContext* context, const Patches& s) {
  context->saved_data["shape"] = std::vector<int64_t>{s.images, s.height,  s.width, s.channels, s.kernel,
                                                      s.stride, s.padding, s.rows,  s.columns};
}

Patches saved_shape(AutogradContext* context) {
  const std::vector<int64_t> s = context->saved_data["shape"].toIntVector();
  return {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8]};
}

// Images from the products of small images with the weight: (count, k·k·channels) patches, added up on
// `start`, a value for each channel, or 0.
torch::Tensor images_of(const Patches& shape, const torch::Tensor& small, const torch::Tensor& rows,
                        const torch::Tensor& start) {
  torch::Tensor patches = torch::empty({shape.count(), shape.size()}, small.options());
  product(matrix(small, shape.count()), matrix(rows, rows.size(0)), nullptr,
          patches.mutable_data_ptr<float>());
  torch::Tensor images =
      torch::empty({shape.images, shape.channels, shape.height, shape.width}, small.options(), channels_last);
  if (start.defined())
    images.copy_(start.view({1, -1, 1, 1}).expand_as(images));
  else
    images.zero_();
  add_patches(shape, patches.const_data_ptr<float>(), images.mutable_data_ptr<float>());
  return images;
}

// The product of patches with the weight: (b, channels, h, w) → (b, rows.size(0), h', w').
torch::Tensor products_of_patches(const Patches& shape, const torch::Tensor& patches,
                                  const torch::Tensor& rows, const float* start) {
  torch::Tensor y = images_like(patches, shape, rows.size(0));
  product(matrix(patches, shape.count()), matrix(rows, rows.size(0)).transposed(), start,
          y.mutable_data_ptr<float>());
  return y;
}

// The gradient of a weight (c, d, k, k): small images of c channels, transposed, times patches.
torch::Tensor weight_gradient(const Patches& shape, const torch::Tensor& small,
                              const torch::Tensor& patches) {
  torch::Tensor gradient =
      torch::empty({small.size(1), shape.kernel, shape.kernel, shape.channels}, small.options());
  product(matrix(small, shape.count()).transposed(), matrix(patches, shape.count()), nullptr,
          gradient.mutable_data_ptr<float>());
  return by_channel(gradient);
}

class PortableConv2d : public torch::autograd::Function<PortableConv2d> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x, const torch::Tensor& weight,
                               const torch::Tensor& bias, int64_t stride, int64_t padding) {
    const int64_t kernel = weight.size(2), height = x.size(2), width = x.size(3);
    const Patches shape{.images = x.size(0),
                        .height = height,
                        .width = width,
                        .channels = x.size(1),
                        .kernel = kernel,
                        .stride = stride,
                        .padding = padding,
                        .rows = (height + 2 * padding - kernel) / stride + 1,
                        .columns = (width + 2 * padding - kernel) / stride + 1};
    const torch::Tensor images = x.contiguous(channels_last);
    context->save_for_backward({images, weight});
    save_shape(context, shape);
    return products_of_patches(shape, gather(shape, images), by_pixel(weight), bias.const_data_ptr<float>());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradient) {
    const variable_list saved = context->get_saved_variables();
    const Patches shape = saved_shape(context);
    const torch::Tensor dy = gradient[0].contiguous(channels_last);
    torch::Tensor dx, dw, db;
    if (context->needs_input_grad(0)) dx = images_of(shape, dy, by_pixel(saved[1]), {});
    if (context->needs_input_grad(1)) dw = weight_gradient(shape, dy, gather(shape, saved[0]));
    if (context->needs_input_grad(2)) db = sum_of_channels(dy);
    return {dx, dw, db, {}, {}};
  }
};

class PortableConvTranspose2d : public torch::autograd::Function<PortableConvTranspose2d> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x, const torch::Tensor& weight,
                               const torch::Tensor& bias, int64_t stride, int64_t padding, int64_t more_rows,
                               int64_t more_columns) {
    const int64_t kernel = weight.size(2);
    const Patches shape{.images = x.size(0),
                        .height = (x.size(2) - 1) * stride - 2 * padding + kernel + more_rows,
                        .width = (x.size(3) - 1) * stride - 2 * padding + kernel + more_columns,
                        .channels = weight.size(1),
                        .kernel = kernel,
                        .stride = stride,
                        .padding = padding,
                        .rows = x.size(2),
                        .columns = x.size(3)};
    const torch::Tensor small = x.contiguous(channels_last);
    context->save_for_backward({small, weight});
    save_shape(context, shape);
    return images_of(shape, small, by_pixel(weight), bias);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradient) {
    const variable_list saved = context->get_saved_variables();
    const Patches shape = saved_shape(context);
    const torch::Tensor dy = gradient[0].contiguous(channels_last);
    const torch::Tensor patches = gather(shape, dy);
    torch::Tensor dx, dw, db;
    if (context->needs_input_grad(0)) dx = products_of_patches(shape, patches, by_pixel(saved[1]), nullptr);
    if (context->needs_input_grad(1)) dw = weight_gradient(shape, saved[0], patches);
    if (context->needs_input_grad(2)) db = sum_of_channels(dy);
    return {dx, dw, db, {}, {}, {}, {}};
  }
};

torch::Tensor by_library(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                         int64_t stride, int64_t padding, bool transposed,
                         torch::IntArrayRef output_padding) {
  const auto spatial = static_cast<size_t>(x.dim() - 2);
  const std::vector<int64_t> strides(spatial, stride), paddings(spatial, padding), ones(spatial, 1);
  const torch::MemoryFormat format = spatial == 3 ? torch::MemoryFormat::ChannelsLast3d : channels_last;
  return torch::convolution(x.contiguous(format), weight, bias, strides, paddings, ones, transposed,
                            output_padding,
                            /*groups=*/1);
}

}  // namespace

torch::Tensor convolve(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                       int64_t stride, int64_t padding) {
  if (x.dim() == 4 && is_for_portable_kernels(x))
    return PortableConv2d::apply(x, weight, bias, stride, padding);
  const std::vector<int64_t> none(static_cast<size_t>(x.dim() - 2), 0);
  return by_library(x, weight, bias, stride, padding, /*transposed=*/false, none);
}

torch::Tensor convolve_transposed(const torch::Tensor& x, const torch::Tensor& weight,
                                  const torch::Tensor& bias, int64_t stride, int64_t padding,
                                  torch::IntArrayRef output_padding) {
  if (x.dim() == 4 && is_for_portable_kernels(x))
    return PortableConvTranspose2d::apply(x, weight, bias, stride, padding, output_padding[0],
                                          output_padding[1]);
  return by_library(x, weight, bias, stride, padding, /*transposed=*/true, output_padding);
}

}  // namespace elbo
