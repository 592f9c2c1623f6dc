#include "elbo/data/binarize.h"

namespace elbo {

Key binarize_key(uint64_t seed, const std::string& split) {
  const Key key = Key(seed).with("binarize");
  return split == "train" ? key : key.with(split);
}

void binarize_row(float* x, int64_t elements, Key key) {
  for (int64_t i = 0; i < elements; ++i) {
    // A float in [0, 1) has 24 random bits.
    const uint64_t bits = mix64(key.value() + static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15ULL) >> 40;
    const float uniform = static_cast<float>(bits) * 0x1p-24F;
    x[i] = uniform < x[i] ? 1.0F : 0.0F;
  }
}

}  // namespace elbo
