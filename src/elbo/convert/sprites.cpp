// Sprites with known factors of variation, on the grid of factors of dSprites (Matthey et al. 2017).
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "elbo/base/random.h"
#include "elbo/convert/format.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace {

constexpr int64_t side = 64;
constexpr std::array<int64_t, 5> grid{3, 6, 40, 32, 32};  // shape, scale, orientation, x, y
constexpr int64_t images = int64_t{3} * 6 * 40 * 32 * 32;
constexpr double radius = 11;  // of the largest sprite, in pixels
constexpr double margin = 12;  // of the centres

struct SpritesOptions {
  int64_t every = 1;
  SplitOptions splits;
  void bind(OptionTable& table) {
    table.add("every", every,
              "keeps one image of every N consecutive ones, where N is this number, of 737,280; the seed "
              "decides which",
              Range::between(1, 100000));
    splits.bind(table);
  }
};

using Factors = std::array<int64_t, 5>;

Factors factors_of(int64_t image) {
  Factors factors{};
  for (size_t i = grid.size(); i-- > 0; image /= grid[i]) factors[i] = image % grid[i];
  return factors;
}

// Whether a point, in units of the radius, is inside the square, the ellipse or the heart.
bool inside(int64_t shape, double x, double y) {
  if (shape == 0) return std::abs(x) <= 0.7 && std::abs(y) <= 0.7;
  if (shape == 1) return x * x + 4 * y * y <= 1;
  const double u = 1.3 * x, v = -1.3 * y;  // the curve's extent is 1.3; its tip points down
  const double ring = u * u + v * v - 1;
  return ring * ring * ring - u * u * v * v * v <= 0;
}

void draw(const Factors& factors, uint8_t* pixels) {
  std::fill_n(pixels, side * side, uint8_t{0});
  const auto at = [&](size_t i) { return static_cast<double>(factors[i]); };
  const double size = radius * (0.5 + 0.1 * at(1)), angle = 2 * std::numbers::pi * at(2) / 40;
  const double cosine = std::cos(angle) / size, sine = std::sin(angle) / size;
  const double span = static_cast<double>(side) - 2 * margin;
  const double centre_x = margin + span * at(3) / 31, centre_y = margin + span * at(4) / 31;
  const auto first = [](double centre) { return static_cast<int64_t>(centre - margin); };
  const auto last = [](double centre) { return std::min(side - 1, static_cast<int64_t>(centre + margin)); };
  for (int64_t row = first(centre_y); row <= last(centre_y); ++row) {
    for (int64_t column = first(centre_x); column <= last(centre_x); ++column) {
      const double x = static_cast<double>(column) + 0.5 - centre_x,
                   y = static_cast<double>(row) + 0.5 - centre_y;
      if (inside(factors[0], x * cosine + y * sine, y * cosine - x * sine)) pixels[row * side + column] = 255;
    }
  }
}

void convert_sprites(const std::vector<std::string>& /*none*/, const Target& target,
                     const SpritesOptions& options) {
  constexpr int64_t piece = 256;
  DatasetWriter out(target, "image");
  RowWriter rows(out, options.splits);
  const int64_t count = images / options.every;
  for (int64_t done = 0; done < count; done += piece) {
    const int64_t here = std::min(piece, count - done);
    torch::Tensor x = torch::empty({here, 1, side, side}, torch::kUInt8);
    torch::Tensor known = torch::empty({here, 5}, torch::kInt32);
    for (int64_t i = 0; i < here; ++i) {
      const Key key = Key(static_cast<uint64_t>(options.splits.seed))
                          .with("sprites")
                          .with(static_cast<uint64_t>(done + i));
      const auto chosen = static_cast<int64_t>(key.value() % static_cast<uint64_t>(options.every));
      const Factors factors = factors_of((done + i) * options.every + chosen);
      draw(factors, x.mutable_data_ptr<uint8_t>() + i * side * side);
      std::copy(factors.begin(), factors.end(), known.mutable_data_ptr<int32_t>() + i * 5);
    }
    rows.append({{"x", x}, {"factors", known}});
  }
  rows.finish();
  out.write_texts("/factor_names", {"shape", "scale", "orientation", "x", "y"});
  out.commit();
}

}  // namespace

Format sprites_format() {
  return {.name = "sprites",
          .takes = "",
          .summary = "generates 3 shapes x 6 scales x 40 orientations x 32 x 32 positions with their factors",
          .least = 0,
          .most = 0,
          .bind = with_options(convert_sprites)};
}

}  // namespace elbo
