// Stochastic binarisation of values in [0, 1], common in VAE papers: dynamic (Salakhutdinov & Murray 2008) or
// static (Larochelle & Murray 2011).
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>

#include "elbo/base/random.h"

namespace elbo {

// The key of the fixed samples of a split's rows. Each split has its own: a test row shares no sample with
// the training row of its number.
Key binarize_key(uint64_t seed, const std::string& split);

// Replaces each value p of a row by 1 with probability p, otherwise by 0. The result depends only on the row,
// the key and the index of the value.
void binarize_row(float* x, int64_t elements, Key key);

}  // namespace elbo
