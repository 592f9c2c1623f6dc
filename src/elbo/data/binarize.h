// Binary rows from values in [0, 1], the usual data of VAE papers (Salakhutdinov & Murray 2008 draw anew each
// time, Larochelle & Murray 2011 keep one draw).
#pragma once
#include <torch/types.h>

#include "elbo/base/random.h"

namespace elbo {

// Replaces each value p of the row at `x` by 1 with probability p, otherwise by 0. The draw depends on the
// key and the value's place alone.
void binarize_row(float* x, int64_t elements, Key key);

}  // namespace elbo
