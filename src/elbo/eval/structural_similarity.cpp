#include "elbo/eval/structural_similarity.h"

#include <torch/types.h>

#include <algorithm>

namespace elbo {
namespace {

// Weights of `size` pixels about the centre, whose sum is 1.
torch::Tensor window(int64_t size) {
  constexpr double deviation = 1.5;
  const torch::Tensor place = torch::arange(size, torch::kFloat64) - 0.5 * static_cast<double>(size - 1);
  const torch::Tensor weights = (-0.5 * (place / deviation).square()).exp();
  return weights / weights.sum();
}

// Means in windows, of (n, 1, height, width): a sum over shifts, down and then across.
torch::Tensor means(torch::Tensor x) {
  constexpr int64_t widest = 11;
  for (const int64_t dimension : {2, 3}) {
    const int64_t size = std::min(widest, x.size(dimension)), length = x.size(dimension) - size + 1;
    const torch::Tensor weights = window(size);
    torch::Tensor sum = torch::zeros_like(x.narrow(dimension, 0, length));
    for (int64_t i = 0; i < size; ++i) sum += weights[i].item<double>() * x.narrow(dimension, i, length);
    x = sum;
  }
  return x;
}

}  // namespace

torch::Tensor structural_similarity(const torch::Tensor& x, const torch::Tensor& y) {
  constexpr double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03;
  const torch::Tensor a = x.to(torch::kFloat64), b = y.to(torch::kFloat64);
  const torch::Tensor mean_a = means(a), mean_b = means(b);
  const torch::Tensor var_a = means(a.square()) - mean_a.square(),
                      var_b = means(b.square()) - mean_b.square();
  const torch::Tensor covariance = means(a * b) - mean_a * mean_b;
  const torch::Tensor similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2) /
                                   ((mean_a.square() + mean_b.square() + c1) * (var_a + var_b + c2));
  return similarity.flatten(1).mean(1);
}

}  // namespace elbo
