#include "elbo/parallel/block_norm.h"

#include <torch/types.h>

#include "elbo/base/index_range.h"
#include "elbo/base/vectorize.h"
#include "elbo/kernels/gpu.h"
#include "elbo/parallel/flat_parameters.h"

namespace elbo {
namespace {

// The square of a float is exact in double precision.
ELBO_VECTORIZE double block_sum(const float* values) {
  double sums[lanes] = {};
  for (int64_t i = 0; i < block_elements; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) {
      const auto value = static_cast<double>(values[i + lane]);
      sums[lane] += value * value;
    }
  double sum = 0;
  for (const double lane : sums) sum += lane;
  return sum;
}

std::vector<double> on_device(const torch::Tensor& values) {
  if (gpu::is_in_use()) {
    const torch::Tensor sums =
        torch::empty({values.numel() / block_elements}, values.options().dtype(torch::kFloat64));
    gpu::square_sums(values.const_data_ptr<float>(), sums.numel(), sums.mutable_data_ptr<double>());
    const torch::Tensor host = sums.cpu();
    return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
  }
  const torch::Tensor sums =
      torch::linalg_vector_norm(values.view({-1, block_elements}), 2, {1}, false, torch::kFloat64)
          .square_()
          .cpu();
  return {sums.const_data_ptr<double>(), sums.const_data_ptr<double>() + sums.numel()};
}

}  // namespace

std::vector<double> block_square_sums(const torch::Tensor& values, Workers& workers) {
  if (!values.is_cpu() || gpu::computes(/*on_cpu=*/true)) return on_device(values);
  static_assert(block_elements % lanes == 0);
  std::vector<double> sums(static_cast<size_t>(values.numel() / block_elements));
  const float* data = values.const_data_ptr<float>();
  workers.run([&](int worker) {
    const IndexRange own = partition({0, static_cast<int64_t>(sums.size())}, worker, workers.count());
    for (int64_t block = own.first; block < own.end; ++block)
      sums[static_cast<size_t>(block)] = block_sum(data + block * block_elements);
  });
  return sums;
}

}  // namespace elbo
