// For CPUs without vector instructions that we know.
#include "elbo/kernels/functions_kernel.h"

namespace elbo {

void map_portable(Elementary function, const float* x, int64_t n, float* y) {
  map_by(static_cast<int>(function), x, n, y);
}

}  // namespace elbo
