// Mixed precision (Micikevicius et al. 2018): layers multiply in bfloat16, everything else stays float32. A
// layer's inputs and weights are rounded to bfloat16, the library accumulates their products in float32, and
// the output is converted back to float32. Parameters, gradients, densities, statistics and the optimiser's
// state are float32. There is no loss scaling: bfloat16 has the exponent range of float32.
#pragma once
#include <torch/types.h>

namespace elbo {

// A guard: while it exists, layers of the calling thread multiply in `type` (torch::kFloat32 or
// torch::kBFloat16).
class MatmulPrecision {
 public:
  explicit MatmulPrecision(torch::ScalarType type);
  ~MatmulPrecision();
  MatmulPrecision(const MatmulPrecision&) = delete;
  MatmulPrecision& operator=(const MatmulPrecision&) = delete;

  static torch::ScalarType current();

 private:
  torch::ScalarType before_;
};

// layer(x, weight, bias) in the calling thread's precision. The result has the type of x.
template <typename Layer>
torch::Tensor in_matmul_precision(const torch::Tensor& x, const torch::Tensor& weight,
                                  const torch::Tensor& bias, Layer&& layer) {
  const torch::ScalarType type = MatmulPrecision::current();
  if (type == torch::kFloat32) return layer(x, weight, bias);
  return layer(x.to(type), weight.to(type), bias.to(type)).to(x.scalar_type());
}

}  // namespace elbo
