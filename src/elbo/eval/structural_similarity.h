// The structural similarity of images.
#pragma once
#include <torch/types.h>

namespace elbo {

// Wang, Bovik, Sheikh & Simoncelli 2004, eq. 13, of images x, y (n, channels, height, width) in [0, 1]: (n),
// the mean over channels and over all positions of a Gaussian window of 11 × 11 pixels with a standard
// deviation of 1.5 that is inside the image; of images that are smaller in a direction the window is cut to
// their size. K₁ = 0.01, K₂ = 0.03.
torch::Tensor structural_similarity(const torch::Tensor& x, const torch::Tensor& y);

}  // namespace elbo
