#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/normal_cpu_dispatch.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "elbo/kernels/functions.h"
#include "elbo/operators/registration.h"

namespace elbo {
namespace {

// Words of the generator, two for each two numbers. The last number of an odd count is alone.
void fill_normal(float* numbers, int64_t n, at::CPUGeneratorImpl& generator) {
  constexpr int64_t pairs_at_once = 128;
  std::array<uint32_t, 2 * pairs_at_once> words{};
  std::array<float, 2 * pairs_at_once> drawn{};
  const std::lock_guard lock(generator.mutex_);
  for (int64_t first = 0; first < n; first += 2 * pairs_at_once) {
    const int64_t count = std::min(n - first, 2 * pairs_at_once), pairs = (count + 1) / 2;
    std::generate_n(words.begin(), 2 * pairs, [&] { return generator.random(); });
    normal_numbers(words.data(), pairs, drawn.data());
    std::copy_n(drawn.begin(), count, numbers + first);
  }
}

at::Tensor& normal(at::Tensor& x, double mean, double deviation, std::optional<at::Generator> generator) {
  if (x.scalar_type() != at::kFloat) return at::cpu::normal_(x, mean, deviation, std::move(generator));
  auto* const source =
      at::get_generator_or_default<at::CPUGeneratorImpl>(generator, at::detail::getDefaultCPUGenerator());
  at::Tensor drawn = x.is_contiguous() ? x : at::empty(x.sizes(), x.options());
  fill_normal(drawn.mutable_data_ptr<float>(), drawn.numel(), *source);
  if (deviation != 1) drawn.mul_(deviation);
  if (mean != 0) drawn.add_(mean);
  if (!drawn.is_same(x)) x.copy_(drawn);
  return x;
}

}  // namespace

void add_draws(OperatorTable& table) { table.add("normal_", normal); }

}  // namespace elbo
