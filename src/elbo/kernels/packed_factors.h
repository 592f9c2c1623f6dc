// Right factors that many products share, such as weights, packed once.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "elbo/kernels/product.h"

namespace elbo {

// Packed forms of matrices in one range of memory, which does not change while a Use exists. They take at
// most twice that memory, and keep it from one Use to the next.
class PackedFactors {
 public:
  PackedFactors(const float* memory, int64_t floats);
  ~PackedFactors();
  PackedFactors(const PackedFactors&) = delete;
  PackedFactors& operator=(const PackedFactors&) = delete;

  // While it exists, products of all threads pack a right factor in the range at its first use only. The
  // process has one at a time.
  class Use {
   public:
    explicit Use(PackedFactors& factors);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    PackedFactors& factors_;
  };

  // All of b in panels, as pack() writes them; null where no Use exists or b is elsewhere.
  static const float* find(const MatrixView& b, int64_t panel);

 private:
  struct Packed;
  using Place = std::tuple<const float*, int64_t, int64_t, int64_t, int64_t, int64_t>;

  const float* packed(const MatrixView& b, int64_t panel);

  const float* memory_;
  int64_t floats_;
  std::mutex mutex_;  // of the map
  std::map<Place, std::unique_ptr<Packed>> all_;
};

}  // namespace elbo
