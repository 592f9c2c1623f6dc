// p(x|z): what the numbers mean that a decoder puts out for a row. Densities are in nats.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>

#include "elbo/base/options.h"
#include "elbo/base/random.h"

namespace elbo {

struct LikelihoodOptions {
  std::string name = "auto";      // bernoulli | gaussian | laplace | discretized_logistic | categorical |
                                  // multinomial; auto is bernoulli for rows in [0, 1], gaussian otherwise
  std::string variance = "auto";  // where there is one: fixed | learned (one scalar) | predicted (for each
                                  // element); auto is predicted for discretized_logistic, fixed otherwise
  double scale =
      1.0;  // gaussian: σ, laplace: b, discretized_logistic: s; the value, or where learning starts
  int64_t levels = 256;  // categorical, discretized_logistic: values of an element, 0, 1/(levels-1), … 1
  void bind(OptionTable& table);  // under model.likelihood*
};

// A module, because a learned scale is a parameter.
class Likelihood : public torch::nn::Module {
 public:
  // Values that the decoder gives for each element of x.
  virtual int64_t param_channels() const = 0;

  // log p(x|z), summed over the row: decoded (n, maps, …row), x (b, …row) → (n). n is a multiple of b: row i
  // of decoded is held against row i mod b of x, so k draws of z for each x may lie behind one another.
  torch::Tensor log_prob(const torch::Tensor& decoded, const torch::Tensor& x) const;

  // The expectation of x, (n, maps, …row) → (n, …row), in the scale of x.
  virtual torch::Tensor mean(const torch::Tensor& decoded) const = 0;
  virtual torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise) const = 0;  // (n, …row)

  // Whether log_prob is that of a probability. Bits per dimension of rows of D bytes scaled to [0, 1] are
  //   discrete:  -log p(x|z) / (D log 2)
  //   a density: -log p(x|z) / (D log 2) + log2 255, since a byte's bin has the width 1/255. That is the
  //   continuous bound of
  //              Theis, van den Oord & Bethge 2016, section 3.1, if the data were dequantised with uniform
  //              noise.
  virtual bool discrete() const = 0;

 private:
  // decoded (k, b, maps, …row), x (b, …row) → (k, b).
  virtual torch::Tensor log_density_of_rows(const torch::Tensor& decoded, const torch::Tensor& x) const = 0;
};

// Throws a usage Error for a likelihood of rows in [0, 1] where rows are not known to be in it.
std::shared_ptr<Likelihood> make_likelihood(const LikelihoodOptions& options, bool rows_in_unit_interval);

}  // namespace elbo
