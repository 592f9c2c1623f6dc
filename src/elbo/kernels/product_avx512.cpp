// Compiled with AVX-512 (src/CMakeLists.txt).
#include "elbo/kernels/product_kernel.h"

#if defined(__AVX512F__)
namespace elbo {

void multiply_avx512(const ProductBlock& block) { multiply<12>(block); }

}  // namespace elbo
#endif
