#include "elbo/objectives/mmd.h"

#include <torch/types.h>

#include "elbo/base/error.h"

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

// The mean over pairs of different elements.
torch::Tensor mean_of_pairs(const torch::Tensor& values) {
  const auto n = static_cast<double>(values.size(0));
  return (values.sum() - values.diagonal().sum()) / (n * (n - 1));
}

}  // namespace

void MmdOptions::bind(OptionTable& table) {
  table.add_choice("model.kernel", kernel, {"imq", "rbf"},
                   "kernel of the MMD; imq: inverse multiquadratic; rbf: Gaussian");
  table.add("model.kernel_scale", scale,
            "variance of the kernel, as a multiple of the number of latent dimensions", Range::above(0));
}

torch::Tensor mmd(const torch::Tensor& a, const torch::Tensor& b, const MmdOptions& options) {
  if (a.size(0) < 2 || b.size(0) < 2)
    usage_error("train.microbatch=1: the MMD compares samples within a microbatch; expected at least 2");
  const double variance = options.scale * static_cast<double>(a.size(1));
  const auto kernel = [&](const torch::Tensor& from, const torch::Tensor& to) {
    return kernel_of(squared_distances(from, to), options.kernel, variance);
  };
  const torch::Tensor within = mean_of_pairs(kernel(a, a)) + mean_of_pairs(kernel(b, b));
  return within - 2 * kernel(a, b).mean();
}

}  // namespace elbo
