// Convolutions are products (kernels/product.h) of patches: an element of a patch is numbered by depth, row,
// column and channel, in this order, and a product adds over ascending numbers.
#include <torch/types.h>

#include <array>
#include <numeric>
#include <tuple>
#include <vector>

#include "elbo/kernels/patches.h"
#include "elbo/operators/compute.h"
#include "elbo/operators/registration.h"
#include "elbo/operators/tensors.h"

namespace elbo {
namespace {

using at::IntArrayRef;
using at::Tensor;

// (b, c, …sides) → (b, …sides, c), contiguous; also of weights.
Tensor channels_last(const Tensor& x) { return x.movedim(1, -1).contiguous(); }
Tensor channels_second(const Tensor& x) { return x.movedim(-1, 1); }

MatrixView matrix(const Tensor& x, int64_t rows) {
  const int64_t columns = rows == 0 ? 0 : x.numel() / rows;
  return {x.const_data_ptr<float>(), rows, columns, columns, 1};
}

Patches::Sides padded_with(int64_t value, IntArrayRef sides) {
  Patches::Sides all{value, value, value};
  std::copy(sides.rbegin(), sides.rend(), all.rbegin());
  return all;
}

struct Settings {
  std::vector<int64_t> stride, padding, dilation, output_padding;  // by side
};

// One number may stand for all sides.
Settings settings_of(const Tensor& weight, IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation,
                     IntArrayRef output_padding) {
  const auto by_side = [&](IntArrayRef numbers) {
    return numbers.size() == 1 ? std::vector(static_cast<size_t>(weight.dim() - 2), numbers[0])
                               : numbers.vec();
  };
  return {by_side(stride), by_side(padding), by_side(dilation), by_side(output_padding)};
}

// The patches of a convolution of images (b, c, …sides) with a weight (…, …, …kernel) to images of the sides
// `grid`.
Patches patches_of(int64_t images, int64_t channels, IntArrayRef sides, IntArrayRef kernel, IntArrayRef grid,
                   const Settings& settings) {
  return {.images = images,
          .channels = channels,
          .sides = padded_with(1, sides),
          .kernel = padded_with(1, kernel),
          .stride = padded_with(1, settings.stride),
          .padding = padded_with(0, settings.padding),
          .dilation = padded_with(1, settings.dilation),
          .grid = padded_with(1, grid)};
}

// The sides of a convolution's output, or of a transposed one's.
std::vector<int64_t> output_sides(const Tensor& x, const Tensor& weight, const Settings& s, bool transposed) {
  std::vector<int64_t> sides;
  sides.reserve(s.stride.size());
  for (size_t i = 0; i < s.stride.size(); ++i) {
    const auto d = static_cast<int64_t>(i) + 2;
    const int64_t reach = s.dilation[i] * (weight.size(d) - 1) + 1;
    sides.push_back(transposed
                        ? (x.size(d) - 1) * s.stride[i] - 2 * s.padding[i] + reach + s.output_padding[i]
                        : (x.size(d) + 2 * s.padding[i] - reach) / s.stride[i] + 1);
  }
  return sides;
}

Patches shape_of(const Tensor& x, const Tensor& weight, const Settings& s, bool transposed) {
  const std::vector<int64_t> sides = output_sides(x, weight, s, transposed);
  const IntArrayRef kernel = weight.sizes().slice(2), input = x.sizes().slice(2);
  return transposed ? patches_of(x.size(0), weight.size(1), sides, kernel, input, s)
                    : patches_of(x.size(0), weight.size(1), input, kernel, sides, s);
}

// (b, …sides, channels)
Tensor empty_images(const Tensor& like, int64_t b, IntArrayRef sides, int64_t channels) {
  std::vector<int64_t> sizes = sides.vec();
  sizes.insert(sizes.begin(), b);
  sizes.push_back(channels);
  return at::empty(sizes, like.options());
}

// Calls visit(first, end) for parts of the patches that fit the second-level cache. Rows of a product in
// multiples of 48 fill its tiles.
template <typename Visit>
void for_each_part(const Patches& shape, Visit&& visit) {
  constexpr int64_t cached_floats = 64 << 10, tiles = 48;
  const int64_t patches = std::max(tiles, cached_floats / std::max<int64_t>(1, shape.size()) / tiles * tiles);
  for (int64_t first = 0; first < shape.count(); first += patches)
    visit(first, std::min(first + patches, shape.count()));
}
Tensor empty_part(const Patches& shape, int64_t step, const Tensor& like) {
  int64_t patches = 0;
  for_each_part(shape, [&](int64_t first, int64_t end) { patches = std::max(patches, end - first); });
  return at::empty({patches, step}, like.options());
}

// All patches of images on a GPU, whose memory is fast enough for them.
Tensor patches_on_gpu(const Patches& shape, const Tensor& images) {
  Tensor patches = at::empty({shape.count(), shape.size()}, images.options());
  gpu::gather_patches(shape, images.const_data_ptr<float>(), patches.mutable_data_ptr<float>());
  return patches;
}

// Products of patches of `images` (b, …sides, channels) with the weight: images (b, …grid, rows of the
// weight).
Tensor products_of_patches(const Patches& shape, const Tensor& images, const Tensor& weight, IntArrayRef grid,
                           const Tensor& bias) {
  const Tensor rows = channels_last(weight), start = bias.defined() ? bias.contiguous() : bias;
  const MatrixView columns = matrix(rows, weight.size(0)).transposed();
  Tensor y = empty_images(images, shape.images, grid, weight.size(0));
  if (on_gpu(images)) {
    const Tensor all = patches_on_gpu(shape, images);
    KernelsOf(images).product(matrix(all, shape.count()), columns,
                              start.defined() ? start.const_data_ptr<float>() : nullptr,
                              y.mutable_data_ptr<float>());
    return y;
  }
  const PackedFactor factor(columns);
  const Tensor patches = empty_part(shape, shape.size(), images);
  for_each_part(shape, [&](int64_t first, int64_t end) {
    gather_patches(shape, first, end, images.const_data_ptr<float>(), patches.mutable_data_ptr<float>(),
                   shape.size());
    product({patches.const_data_ptr<float>(), end - first, shape.size(), shape.size(), 1}, factor,
            start.defined() ? start.const_data_ptr<float>() : nullptr,
            y.mutable_data_ptr<float>() + first * weight.size(0));
  });
  return y;
}

// The products of small images (b, …grid, c) with the weight are patches, which are added to `bias` or to 0.
Tensor sums_of_patches(const Patches& shape, const Tensor& small, const Tensor& weight, IntArrayRef sides,
                       const Tensor& bias) {
  const int64_t channels = weight.size(0);
  const Tensor rows = channels_last(weight);
  Tensor images = empty_images(small, shape.images, sides, shape.channels);
  bias.defined() ? images.copy_(bias.expand_as(images)) : images.zero_();
  if (on_gpu(small)) {
    Tensor all = at::empty({shape.count(), shape.size()}, small.options());
    KernelsOf(small).product(matrix(small, shape.count()), matrix(rows, channels), nullptr,
                             all.mutable_data_ptr<float>());
    gpu::add_patches(shape, all.const_data_ptr<float>(), images.mutable_data_ptr<float>());
    return images;
  }
  const PackedFactor factor(matrix(rows, channels));
  const Tensor patches = empty_part(shape, shape.size(), small);
  for_each_part(shape, [&](int64_t first, int64_t end) {
    product({small.const_data_ptr<float>() + first * channels, end - first, channels, channels, 1}, factor,
            nullptr, patches.mutable_data_ptr<float>());
    add_patches(shape, first, end, patches.const_data_ptr<float>(), images.mutable_data_ptr<float>());
  });
  return images;
}

// Of a weight (c, d, …kernel): patches of `images`, transposed, times small images (b, …grid, c), transposed.
Tensor weight_gradient(const Patches& shape, const Tensor& small, const Tensor& images,
                       const Tensor& weight) {
  const int64_t channels = weight.size(0);
  // A power of two between rows would map a column of patches to few lines of the first-level cache.
  const int64_t step = shape.size() + 16;
  std::vector<int64_t> sizes = weight.sizes().slice(2).vec();
  sizes.insert(sizes.end(), {weight.size(1), channels});
  Tensor gradient = at::zeros(sizes, small.options());
  const auto in_the_weights_order = [&] { return gradient.movedim({-1, -2}, {0, 1}).contiguous(); };
  if (on_gpu(small)) {
    const Tensor all = patches_on_gpu(shape, images);
    KernelsOf(small).product(matrix(all, shape.count()).transposed(), matrix(small, shape.count()), nullptr,
                             gradient.mutable_data_ptr<float>());
    return in_the_weights_order();
  }
  const Tensor patches = empty_part(shape, step, small);
  for_each_part(shape, [&](int64_t first, int64_t end) {
    gather_patches(shape, first, end, images.const_data_ptr<float>(), patches.mutable_data_ptr<float>(),
                   step);
    add_product({patches.const_data_ptr<float>(), shape.size(), end - first, 1, step},
                {small.const_data_ptr<float>() + first * channels, end - first, channels, channels, 1},
                gradient.mutable_data_ptr<float>());
  });
  return in_the_weights_order();
}

void require_supported(const Tensor& x, const Tensor& weight, int64_t groups) {
  TORCH_CHECK(groups == 1 && x.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat,
              "elbo's kernels have convolutions of one group, in float32; use train.kernels=library");
}

Tensor convolved(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias, IntArrayRef stride,
                 IntArrayRef padding, IntArrayRef dilation, bool transposed, IntArrayRef output_padding,
                 int64_t groups) {
  require_supported(x, weight, groups);
  const Settings settings = settings_of(weight, stride, padding, dilation, output_padding);
  const Patches shape = shape_of(x, weight, settings, transposed);
  const std::vector<int64_t> sides = output_sides(x, weight, settings, transposed);
  const Tensor images = channels_last(x), start = bias.value_or(Tensor());
  return channels_second(transposed ? sums_of_patches(shape, images, weight, sides, start)
                                    : products_of_patches(shape, images, weight, sides, start));
}

// LibTorch's derivative of the derivative calls this one.
Tensor convolution_inside(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                          IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation, bool transposed,
                          IntArrayRef output_padding, int64_t groups, bool, bool, bool, bool) {
  return convolved(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups);
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(
    const Tensor& dy, const Tensor& x, const Tensor& weight, at::OptionalIntArrayRef /*bias_sizes*/,
    IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation, bool transposed,
    IntArrayRef output_padding, int64_t groups, std::array<bool, 3> wanted) {
  require_supported(x, weight, groups);
  const Patches shape =
      shape_of(x, weight, settings_of(weight, stride, padding, dilation, output_padding), transposed);
  const Tensor slope = channels_last(dy);
  const IntArrayRef sides = x.sizes().slice(2);
  Tensor dx, dw, db;
  if (transposed) {
    if (wanted[0]) dx = channels_second(products_of_patches(shape, slope, weight, sides, {}));
    if (wanted[1]) dw = weight_gradient(shape, channels_last(x), slope, weight);
  } else {
    if (wanted[0]) dx = channels_second(sums_of_patches(shape, slope, weight, sides, {}));
    if (wanted[1]) dw = weight_gradient(shape, slope, channels_last(x), weight);
  }
  if (wanted[2]) {
    db = at::empty({dy.size(1)}, dy.options());
    KernelsOf(slope).column_sums(slope.const_data_ptr<float>(), 1, slope.numel() / slope.size(-1),
                                 slope.size(-1), db.mutable_data_ptr<float>());
  }
  return {dx, dw, db};
}

}  // namespace

void add_convolutions(OperatorTable& table) {
  table.add("convolution", convolved);
  table.add("_convolution", convolution_inside);
  table.add("convolution_backward", convolution_backward);
}

}  // namespace elbo
