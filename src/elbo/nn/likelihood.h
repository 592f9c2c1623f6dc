// p(x|z): the distributions of a row whose parameters a decoder predicts. Log probabilities are in nats. Each
// likelihood is a file nn/likelihood_*.cpp; likelihood.cpp has their table (docs/adding_a_likelihood.md).
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/base/random.h"
#include "elbo/base/support.h"

namespace elbo {

struct LikelihoodOptions {
  std::string name = "auto";  // of the table; auto is bernoulli for images, gaussian otherwise
  // The scale of a location-scale family: fixed | learned (one scalar) | predicted (for each element); auto
  // is predicted for discretized_logistic, fixed otherwise.
  std::string variance = "auto";
  // gaussian: σ, laplace: b, discretized_logistic and student_t: s; the fixed or the initial value.
  double scale = 1.0;
  int64_t levels = 256;  // categorical, discretized_logistic: an element is one of 0, 1/(levels-1), … 1
  double degrees = 4;    // student_t: degrees of freedom ν
  // Of counts: observed: the mean of an element is its fraction of the row times the sum of the row; none:
  // the decoder predicts its logarithm.
  std::string library = "none";
  double library_size = 10000;      // observed: the sum of means that belong to no row, such as samples
  std::string dispersion = "gene";  // negative binomial: gene | gene-batch | gene-cell
  std::string columns = "auto";     // mixed: what the columns hold (nn/columns.h)
  void bind(OptionTable& table);    // under model.*
};

// How the elements of a row are chosen from their distribution p(x|z).
enum class Elements { mean, mode, drawn };
struct ElementChoice {
  Elements how = Elements::mean;
  // drawn: the logits of categories are divided by it; other elements deviate that many times as far from
  // their mean. 1: as p(x|z) says.
  double temperature = 1;
  RandomGenerator* noise = nullptr;  // drawn: where the random numbers come from
  // (b, …row): the rows of the data that these are, for likelihoods that take the sum of a row as given; row
  // i of the n decoded ones belongs to row i mod b. Undefined: they are not of the data.
  torch::Tensor rows{};
};

// The rows that a likelihood is made for.
struct LikelihoodRows {
  std::vector<int64_t> shape{};
  bool unit_images = false;  // images in [0, 1], for which auto is bernoulli
  int64_t classes = 0;       // of the label on which the model is conditioned; 0: it is not
};

// A module, because a learned scale is a parameter.
class Likelihood : public torch::nn::Module {
 public:
  // Parameters of the distribution that the decoder predicts for each element of x.
  virtual int64_t param_channels() const = 0;

  // log p(x|z), summed over the row: decoded (n, param_channels, …row), x (b, …row) → (n). n is a multiple of
  // b, for k samples of z per row: row i of `decoded` belongs to row i mod b of x. observed (b, …row), bool
  // or 0 and 1: only the elements where it is 1 count, the others have no gradient. Undefined: all
  // count.
  torch::Tensor log_prob(const torch::Tensor& decoded, const torch::Tensor& x,
                         const torch::Tensor& observed = {}) const;

  // `decoded` with the parameters that depend on the class of a row and not on z, which the other functions
  // expect then. label (b): of rows as in log_prob().
  virtual torch::Tensor with_label(const torch::Tensor& decoded, const torch::Tensor& /*label*/) const {
    return decoded;
  }

  // E[x|z], (n, param_channels, …row) → (n, …row), in units of x.
  virtual torch::Tensor mean(const torch::Tensor& decoded) const = 0;
  // The most probable row, (n, …row); of a density its mean.
  virtual torch::Tensor mode(const torch::Tensor& decoded) const { return mean(decoded); }
  // (n, …row), at the temperature of an ElementChoice.
  virtual torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise,
                               double temperature) const = 0;
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise) const {
    return sample(decoded, noise, 1);
  }
  // One of the three.
  virtual torch::Tensor choose(const torch::Tensor& decoded, const ElementChoice& choice) const;

  // 2 (log p(x) at its highest - log p(x)) of each element for a distribution with the mean (b, …row), (b,
  // …row), nats (McCullagh & Nelder 1989, section 2.3); undefined where it depends on more than the mean.
  virtual torch::Tensor deviance(const torch::Tensor& /*mean*/, const torch::Tensor& /*x*/) const {
    return {};
  }

  // x as an encoder should see it, (b, …row): values that may be large are compressed.
  virtual torch::Tensor encoder_input(const torch::Tensor& x) const { return x; }

  // True for a probability, false for a density. The bits per dimension of rows of D bytes, scaled to [0, 1]:
  //   probability: -log p(x|z) / (D log 2)
  //   density:     -log p(x|z) / (D log 2) + log2 255, as the bin of a byte has the width 1/255: the
  //                continuous bound of Theis, van den Oord & Bethge 2016, section 3.1, for data that were
  //                dequantised with uniform noise.
  virtual bool discrete() const = 0;
  // The equidistant levels in [0, 1] on which x must be for these bits to mean something: 2 for bernoulli,
  // model.likelihood_levels, 256 for a density. 0: they never do, as for counts.
  virtual int64_t levels() const = 0;

 private:
  // decoded (k, b, param_channels, …row), x (b, …row) → (k, b, …row).
  virtual torch::Tensor log_prob_of_elements(const torch::Tensor& decoded, const torch::Tensor& x) const = 0;
  // Its sum over the row, (k, b). Override it where the sum is cheaper than its elements.
  virtual torch::Tensor log_prob_of_rows(const torch::Tensor& decoded, const torch::Tensor& x) const;
};

// The values that the likelihood `name` is defined for, to which rows are held as they are read. auto, which
// follows the data: real.
Support likelihood_support(const std::string& name);

// Whether x are counts of events, which the likelihood takes as they are: data.normalize=auto leaves them
// alone.
bool has_counts(Support support);

// The likelihood of options.name.
std::shared_ptr<Likelihood> make_likelihood(const LikelihoodOptions& options, const LikelihoodRows& rows);

}  // namespace elbo
