// For CPUs without vector instructions that we know. Without a fused multiply-add in the CPU, the C library
// computes it, slowly.
#include "elbo/kernels/product_kernel.h"

namespace elbo {

void multiply_portable(const ProductBlock& block) { multiply<4>(block); }

}  // namespace elbo
