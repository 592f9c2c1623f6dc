// Compiled with AVX2 and FMA (src/CMakeLists.txt).
#include "elbo/kernels/product_kernel.h"

#if defined(__AVX2__)
namespace elbo {

void multiply_avx2(const ProductBlock& block) { multiply<6>(block); }

}  // namespace elbo
#endif
