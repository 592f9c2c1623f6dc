// Mixed precision: layers multiply numbers of half the size, everything else stays float32. A layer's inputs
// and weights are rounded to bfloat16, its products are summed in float32 by the library, and what comes out
// is float32 again. Parameters, their gradients, densities, statistics and the optimiser never leave float32
// (Micikevicius et al. 2018, without the loss scaling that bfloat16's exponents make unnecessary).
#pragma once
#include <torch/types.h>

namespace elbo {

// Layers of the calling thread multiply in `type` (torch::kFloat32 or torch::kBFloat16) for as long as it
// lives.
class ProductPrecision {
 public:
  explicit ProductPrecision(torch::ScalarType type);
  ~ProductPrecision();
  ProductPrecision(const ProductPrecision&) = delete;
  ProductPrecision& operator=(const ProductPrecision&) = delete;

  static torch::ScalarType current();

 private:
  torch::ScalarType before_;
};

// layer(x, weight, bias) in the thread's precision; the result has the type of x.
template <typename Layer>
torch::Tensor in_product_precision(const torch::Tensor& x, const torch::Tensor& weight,
                                   const torch::Tensor& bias, Layer&& layer) {
  const torch::ScalarType type = ProductPrecision::current();
  if (type == torch::kFloat32) return layer(x, weight, bias);
  return layer(x.to(type), weight.to(type), bias.to(type)).to(x.scalar_type());
}

}  // namespace elbo
