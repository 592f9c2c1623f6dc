#include "elbo/nn/likelihood.h"

#include <torch/types.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {

// Each is defined in nn/likelihood_NAME.cpp. `variance` in the options is never auto.
std::shared_ptr<Likelihood> bernoulli_likelihood(const LikelihoodOptions& options, const LikelihoodRows&);
std::shared_ptr<Likelihood> continuous_bernoulli_likelihood(const LikelihoodOptions&, const LikelihoodRows&);
std::shared_ptr<Likelihood> gaussian_likelihood(const LikelihoodOptions& options, const LikelihoodRows&);
std::shared_ptr<Likelihood> laplace_likelihood(const LikelihoodOptions& options, const LikelihoodRows&);
std::shared_ptr<Likelihood> discretized_logistic_likelihood(const LikelihoodOptions& options,
                                                            const LikelihoodRows&);
std::shared_ptr<Likelihood> categorical_likelihood(const LikelihoodOptions& options, const LikelihoodRows&);
std::shared_ptr<Likelihood> multinomial_likelihood(const LikelihoodOptions& options, const LikelihoodRows&);
std::shared_ptr<Likelihood> student_t_likelihood(const LikelihoodOptions& options, const LikelihoodRows&);
std::shared_ptr<Likelihood> poisson_likelihood(const LikelihoodOptions& options, const LikelihoodRows&);
std::shared_ptr<Likelihood> zero_inflated_poisson_likelihood(const LikelihoodOptions& options,
                                                             const LikelihoodRows&);
std::shared_ptr<Likelihood> negative_binomial_likelihood(const LikelihoodOptions& options,
                                                         const LikelihoodRows& rows);
std::shared_ptr<Likelihood> zero_inflated_negative_binomial_likelihood(const LikelihoodOptions& options,
                                                                       const LikelihoodRows& rows);
std::shared_ptr<Likelihood> mixed_likelihood(const LikelihoodOptions& options, const LikelihoodRows&);

namespace {

struct NamedLikelihood {
  std::string_view name;
  std::shared_ptr<Likelihood> (*make)(const LikelihoodOptions&, const LikelihoodRows&);
  Support support = Support::real;
  std::string_view default_variance = "fixed";  // of model.likelihood_variance=auto
};

constexpr NamedLikelihood likelihoods[] = {
    {.name = "bernoulli", .make = bernoulli_likelihood, .support = Support::unit_interval},
    {.name = "continuous_bernoulli",
     .make = continuous_bernoulli_likelihood,
     .support = Support::unit_interval},
    {.name = "gaussian", .make = gaussian_likelihood},
    {.name = "laplace", .make = laplace_likelihood},
    {.name = "discretized_logistic",
     .make = discretized_logistic_likelihood,
     .support = Support::unit_interval,
     .default_variance = "predicted"},
    {.name = "categorical", .make = categorical_likelihood, .support = Support::unit_interval},
    {.name = "multinomial", .make = multinomial_likelihood, .support = Support::non_negative},
    {.name = "student_t", .make = student_t_likelihood},
    {.name = "poisson", .make = poisson_likelihood, .support = Support::counts},
    {.name = "zero_inflated_poisson", .make = zero_inflated_poisson_likelihood, .support = Support::counts},
    {.name = "negative_binomial", .make = negative_binomial_likelihood, .support = Support::counts},
    {.name = "zero_inflated_negative_binomial",
     .make = zero_inflated_negative_binomial_likelihood,
     .support = Support::counts},
    {.name = "mixed", .make = mixed_likelihood},
};

std::vector<std::string> choices() {
  std::vector<std::string> names = {"auto"};
  for (const NamedLikelihood& likelihood : likelihoods) names.emplace_back(likelihood.name);
  return names;
}

// None for auto.
const NamedLikelihood* named_likelihood(const std::string& name) {
  const auto* found = std::ranges::find(likelihoods, std::string_view(name), &NamedLikelihood::name);
  return found == std::end(likelihoods) ? nullptr : found;
}

}  // namespace

void LikelihoodOptions::bind(OptionTable& table) {
  table.add_choice(
      "model.likelihood", name, choices(),
      "p(x|z) of each element; bernoulli: x in [0, 1]; continuous_bernoulli: the same as a density, for grey "
      "values; discretized_logistic, categorical: x in [0, 1] with "
      "model.likelihood_levels values; multinomial: shares of the row's counts, such as interactions; "
      "poisson, negative_binomial and their zero-inflated forms: counts of each element, such as of genes in "
      "a cell; student_t: real values with outliers; mixed: tables, by model.likelihood_columns; auto: "
      "bernoulli for images, gaussian otherwise");
  table.add_choice(
      "model.likelihood_variance", variance, {"auto", "fixed", "learned", "predicted"},
      "how the scale of gaussian, laplace, student_t and discretized_logistic is set; fixed: it is "
      "model.likelihood_scale; learned: one number; predicted: by the decoder, for each "
      "element; auto: predicted for discretized_logistic, fixed otherwise");
  table.add("model.likelihood_scale", scale,
            "the scale of the likelihood (a standard deviation, in the unit of x), or its initial value",
            Range::above(0));
  table.add("model.likelihood_levels", levels,
            "number of values of an element, for categorical and discretized_logistic", Range::at_least(2));
  table.add("model.likelihood_degrees", degrees,
            "student_t: degrees of freedom; with fewer, outliers weigh less; the mean exists above 1, the "
            "variance above 2",
            Range::above(0));
  table.add_choice(
      "model.library", library, {"none", "observed"},
      "counts: what their mean is relative to; observed: the sum of the row, of which the decoder "
      "predicts the fraction of each element (Lopez et al. 2018); none: the decoder predicts the "
      "logarithm of the mean");
  table.add("model.library_size", library_size,
            "sum of the counts of a row in results that belong to no row of the data, such as samples, with "
            "model.library=observed; 10000: counts per 10,000",
            Range::above(0));
  table.add_choice(
      "model.dispersion", dispersion, {"gene", "gene-batch", "gene-cell"},
      "inverse dispersion of negative_binomial, in the words of scvi-tools; gene: one number for "
      "each element; gene-batch: one for each element and class of the label (cvae); gene-cell: by "
      "the decoder, for each element of each row");
  table.add("model.likelihood_columns", columns,
            "mixed: what the columns hold, from left to right, such as gaussian:4,categorical:3,bernoulli; "
            "gaussian: a mean, and a standard deviation that is learned for each column; bernoulli: 0 and 1; "
            "count: whole numbers of 0 or more, as a negative binomial; categorical: one variable, with a "
            "column for each of its categories that is 0 or 1; auto: as the training rows say");
}

torch::Tensor Likelihood::log_prob(const torch::Tensor& decoded, const torch::Tensor& x,
                                   const torch::Tensor& observed) const {
  const torch::Tensor by_sample = decoded.unflatten(0, {-1, x.size(0)});
  if (!observed.defined()) return log_prob_of_rows(by_sample, x).flatten();
  const torch::Tensor elements = log_prob_of_elements(by_sample, x);
  return sum_over_row(torch::where(observed.to(torch::kBool), elements, 0.0)).flatten();
}

torch::Tensor Likelihood::choose(const torch::Tensor& decoded, const ElementChoice& choice) const {
  if (choice.how == Elements::drawn) return sample(decoded, *choice.noise, choice.temperature);
  return choice.how == Elements::mode ? mode(decoded) : mean(decoded);
}

torch::Tensor Likelihood::log_prob_of_rows(const torch::Tensor& decoded, const torch::Tensor& x) const {
  return sum_over_row(log_prob_of_elements(decoded, x));
}

Support likelihood_support(const std::string& name) {
  const NamedLikelihood* const found = named_likelihood(name);
  return found == nullptr ? Support::real : found->support;
}

bool has_counts(Support support) { return support == Support::counts || support == Support::non_negative; }

std::shared_ptr<Likelihood> make_likelihood(const LikelihoodOptions& options, const LikelihoodRows& rows) {
  LikelihoodOptions chosen = options;
  if (chosen.name == "auto") chosen.name = rows.unit_images ? "bernoulli" : "gaussian";
  const NamedLikelihood* const found = named_likelihood(chosen.name);
  if (found == nullptr)
    usage_error("model.likelihood={}: expected one of {}", chosen.name, join(choices(), ", "));
  if (chosen.variance == "auto") chosen.variance = found->default_variance;
  return found->make(chosen, rows);
}

}  // namespace elbo
