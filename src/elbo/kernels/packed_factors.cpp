#include "elbo/kernels/packed_factors.h"

#include <atomic>
#include <functional>
#include <vector>

#include "elbo/kernels/packing.h"

namespace elbo {
namespace {

std::atomic<PackedFactors*> factors_in_use = nullptr;

}  // namespace

struct PackedFactors::Packed {
  std::mutex mutex;
  std::atomic<bool> ready = false;
  std::vector<float> panels;
};

PackedFactors::PackedFactors(const float* memory, int64_t floats) : memory_(memory), floats_(floats) {}
PackedFactors::~PackedFactors() = default;

PackedFactors::Use::Use(PackedFactors& factors) : factors_(factors) {
  for (const auto& [place, packed] : factors_.all_) packed->ready = false;
  factors_in_use = &factors;
}

PackedFactors::Use::~Use() { factors_in_use = nullptr; }

const float* PackedFactors::find(const MatrixView& b, int64_t panel) {
  PackedFactors* const factors = factors_in_use;
  if (factors == nullptr || std::less<>()(b.data, factors->memory_) ||
      !std::less<>()(b.data, factors->memory_ + factors->floats_))
    return nullptr;
  return factors->packed(b, panel);
}

const float* PackedFactors::packed(const MatrixView& b, int64_t panel) {
  Packed* found = nullptr;
  {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<Packed>& entry = all_[{b.data, b.rows, b.columns, b.row_stride, b.column_stride, panel}];
    if (!entry) entry = std::make_unique<Packed>();
    found = entry.get();
  }
  if (!found->ready) {
    const std::lock_guard lock(found->mutex);
    if (!found->ready) {
      found->panels.resize(static_cast<size_t>(b.rows * in_panels(b.columns, panel)));
      pack(b, 0, b.rows, 0, b.columns, panel, found->panels.data());
      found->ready = true;
    }
  }
  return found->panels.data();
}

}  // namespace elbo
