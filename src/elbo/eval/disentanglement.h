// How the dimensions of codes correspond to known factors of variation. Each score is in [0, 1], 1 if each
// factor has a dimension that depends on it alone.
#pragma once
#include <torch/types.h>

#include "elbo/base/random.h"

namespace elbo {

// codes (n, latent), factors (n, k): finite numbers, on the CPU. latent, k ≥ 1. Results are means over the
// factors that have two or more values; NaN if none has.

// The mutual information gap of Chen et al. 2018, eq. 6: that of the two dimensions with the most information
// about a factor, in units of its entropy. Codes are divided into 20 bins of equal width.
double mutual_information_gap(const torch::Tensor& codes, const torch::Tensor& factors);

// Kumar et al. 2018, section 3 (separated attribute predictability): the gap between the two dimensions that
// predict a factor best, by R² of a linear regression on one dimension.
double attribute_predictability(const torch::Tensor& codes, const torch::Tensor& factors);

// Eastwood & Williams 2018, eqs. 1 to 4, from the absolute weights of a lasso regression of each factor on
// all dimensions, both standardised: the minimum of ½ mean squared error + 0.01 ‖w‖₁. Informativeness is R²
// on the rows `test`, at least 0 for each factor.
struct Dci {
  double disentanglement = 0, completeness = 0, informativeness = 0;
};
struct CodesAndFactors {
  torch::Tensor codes, factors;
};
Dci dci(const CodesAndFactors& fitted, const CodesAndFactors& test);

// Kim & Mnih 2018, section 4: the accuracy of a majority vote that names the factor that 100 rows share from
// the dimension that varies least among them, in 800 votes after 800 others. Dimensions with a variance below
// 0.05 are left out; 0 if none is left.
double factor_vae_score(const torch::Tensor& codes, const torch::Tensor& factors, Key key);

}  // namespace elbo
