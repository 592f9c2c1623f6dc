#include "elbo/data/transform.h"

#include <torch/types.h>

#include <iterator>

namespace elbo {
namespace {

constexpr double largest_byte = 255;

}  // namespace

torch::Tensor Transform::apply(const torch::Tensor& x) const {
  if (kind == "none") return x;
  if (kind == "bytes") return x / largest_byte;
  if (kind == "log1p") return x.log1p();
  return (x - shift) / scale;
}

torch::Tensor Transform::undo(const torch::Tensor& y) const {
  if (kind == "none") return y;
  if (kind == "bytes") return y * largest_byte;
  if (kind == "log1p") return y.expm1();
  return y * scale + shift;
}

std::vector<std::string> transform_kinds() {
  return {"none", "bytes", "unit", "standardize", "robust", "log1p"};
}

std::vector<int64_t> fitted_shape(const std::string& kind, const std::vector<int64_t>& row, int64_t spatial) {
  if (kind == "unit") return {1};
  if (kind != "standardize" && kind != "robust") return {};
  const int64_t channels = std::ssize(row) - 1 - spatial;  // their place
  if (channels < 0) return {row.back()};
  std::vector<int64_t> shape(static_cast<size_t>(1 + spatial), 1);
  shape.front() = row[static_cast<size_t>(channels)];
  return shape;
}

}  // namespace elbo
