// Moving MNIST: digits that move in a square and bounce off its sides (Srivastava, Mansimov & Salakhutdinov
// 2015).
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

#include "elbo/base/error.h"
#include "elbo/base/random.h"
#include "elbo/convert/format.h"
#include "elbo/convert/splits.h"
#include "elbo/data/dataset.h"

namespace elbo {
namespace {

struct MovingDigitsOptions {
  int64_t n = 10000, n_test = 1000, frames = 20, size = 64, digits = 2, seed = 0;
  double speed = 0.1;
  void bind(OptionTable& table) {
    table.add("n", n, "number of training sequences, made of training images", Range::between(1, 1e8));
    table.add("n_test", n_test, "number of test sequences, made of test images; 0: none",
              Range::between(0, 1e8));
    table.add("frames", frames, "frames of a sequence", Range::between(1, 10000));
    table.add("size", size, "pixels of a side", Range::between(1, 1024));
    table.add("digits", digits, "number of digits in a sequence", Range::between(1, 100));
    table.add("speed", speed,
              "distance that a digit moves from one frame to the next, as a fraction of the free space",
              Range::between(0, 1));
    table.add("seed", seed, "seed of the random numbers", Range::at_least(0));
  }
};

// Reflects a coordinate at 0 and 1.
double bounced(double position) {
  const double folded = std::abs(std::remainder(position, 2.0));
  return std::min(folded, 1.0);
}

// (frames, 1, size, size): the maximum of overlapping digits.
torch::Tensor sequence_of(const torch::Tensor& digits, const torch::Tensor& draws,
                          const MovingDigitsOptions& options) {
  torch::Tensor result = torch::zeros({options.frames, 1, options.size, options.size}, torch::kUInt8);
  const int64_t height = digits.size(2), width = digits.size(3);
  for (int64_t digit = 0; digit < options.digits; ++digit) {
    const auto draw = [&](int64_t i) { return double{draws[digit][i].item<float>()}; };
    const double angle = 2 * std::numbers::pi * draw(3);
    for (int64_t frame = 0; frame < options.frames; ++frame) {
      const double distance = options.speed * static_cast<double>(frame);
      const auto pixel = [&](double start, double direction, int64_t space) {
        return std::llround(bounced(start + distance * direction) * static_cast<double>(space));
      };
      torch::Tensor part = result[frame][0]
                               .narrow(0, pixel(draw(1), std::sin(angle), options.size - height), height)
                               .narrow(1, pixel(draw(2), std::cos(angle), options.size - width), width);
      part.copy_(torch::maximum(part, digits[digit][0]));
    }
  }
  return result;
}

void make_split(RowWriter& out, const Dataset& source, const std::string& split, int64_t count,
                const MovingDigitsOptions& options) {
  const RowSource& images = source.split(split);
  const auto available = static_cast<double>(images.rows());
  for (int64_t row = 0; row < count; ++row) {
    RandomGenerator noise(Key(static_cast<uint64_t>(options.seed))
                              .with("moving digits")
                              .with(split)
                              .with(static_cast<uint64_t>(row)));
    const torch::Tensor draws = noise.uniform({options.digits, 4});  // image, y, x, angle
    std::vector<int64_t> ids;
    ids.reserve(static_cast<size_t>(options.digits));
    for (int64_t i = 0; i < options.digits; ++i)
      ids.push_back(std::min(images.rows() - 1, static_cast<int64_t>(draws[i][0].item<float>() * available)));
    const torch::Tensor read = images.read(ids).x;
    const torch::Tensor digits = (source.shape().bytes_x ? read : read * 255).round().to(torch::kUInt8);
    out.append({{"x", sequence_of(digits, draws, options).unsqueeze(0)}}, split);
  }
}

void convert_moving_digits(const std::vector<std::string>& inputs, const Target& target,
                           const MovingDigitsOptions& options) {
  const std::string& path = inputs.front();
  DataOptions data;
  data.path = path;
  const Dataset source(data);
  const std::vector<int64_t>& shape = source.shape().x;
  if (source.shape().kind != "image" || shape[0] != 1)
    usage_error("{}: its rows are not grey images; expected digits, such as datasets/mnist.h5", path);
  if (shape[1] > options.size || shape[2] > options.size)
    usage_error("--size={}: the images of {} have {} x {} pixels; expected at least {}", options.size, path,
                shape[1], shape[2], std::max(shape[1], shape[2]));
  if (options.n_test > 0 && !source.has("test"))
    usage_error("--n_test={}: {} has no test split; use --n_test=0", options.n_test, path);
  DatasetWriter out(target, "sequence");
  RowWriter rows(out, {});
  make_split(rows, source, "train", options.n, options);
  if (options.n_test > 0) make_split(rows, source, "test", options.n_test, options);
  rows.finish();
  out.commit();
}

}  // namespace

Format moving_digits_format() {
  return {.name = "moving_digits",
          .takes = "DATA.h5",
          .summary = "sequences of images in which digits of a data set move and bounce",
          .least = 1,
          .most = 1,
          .bind = with_options(convert_moving_digits)};
}

}  // namespace elbo
