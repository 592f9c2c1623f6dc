#include "elbo/data/transform.h"

#include <torch/types.h>

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

std::vector<int64_t> fitted_shape(const std::string& kind, const std::vector<int64_t>& row) {
  if (kind == "unit") return {1};
  if (kind != "standardize" && kind != "robust") return {};
  if (row.size() < 3) return {row.back()};
  return {row[row.size() - 3], 1, 1};
}

}  // namespace elbo
