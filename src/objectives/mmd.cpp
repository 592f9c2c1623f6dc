#include "objectives/mmd.h"

#include <torch/torch.h>

#include "base/error.h"

namespace elbo {
namespace {

torch::Tensor squared_distances(const torch::Tensor& a, const torch::Tensor& b) {
  return (a.unsqueeze(1) - b.unsqueeze(0)).square().sum(-1);
}

torch::Tensor kernel_of(const torch::Tensor& distances, const std::string& kernel, double variance) {
  if (kernel == "rbf") return (-distances / (2 * variance)).exp();
  torch::Tensor sum = torch::zeros_like(distances);
  for (const double factor : {0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0}) {
    const double c = 2 * variance * factor;
    sum = sum + c / (c + distances);
  }
  return sum;
}

// Mean over pairs of different elements.
torch::Tensor mean_of_pairs(const torch::Tensor& values) {
  const auto n = static_cast<double>(values.size(0));
  return (values.sum() - values.diagonal().sum()) / (n * (n - 1));
}

}  // namespace

torch::Tensor mmd(const torch::Tensor& a, const torch::Tensor& b, const std::string& kernel, double scale) {
  if (a.size(0) < 2 || b.size(0) < 2)
    usage_error("train.microbatch=1: samples are compared within a microbatch; expected 2 at least");
  const double variance = scale * static_cast<double>(a.size(1));
  const torch::Tensor within_a = mean_of_pairs(kernel_of(squared_distances(a, a), kernel, variance));
  const torch::Tensor within_b = mean_of_pairs(kernel_of(squared_distances(b, b), kernel, variance));
  return within_a + within_b - 2 * kernel_of(squared_distances(a, b), kernel, variance).mean();
}

}  // namespace elbo
