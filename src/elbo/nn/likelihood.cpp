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
std::shared_ptr<Likelihood> bernoulli_likelihood(const LikelihoodOptions& options);
std::shared_ptr<Likelihood> gaussian_likelihood(const LikelihoodOptions& options);
std::shared_ptr<Likelihood> laplace_likelihood(const LikelihoodOptions& options);
std::shared_ptr<Likelihood> discretized_logistic_likelihood(const LikelihoodOptions& options);
std::shared_ptr<Likelihood> categorical_likelihood(const LikelihoodOptions& options);
std::shared_ptr<Likelihood> multinomial_likelihood(const LikelihoodOptions& options);
std::shared_ptr<Likelihood> mixed_likelihood(const LikelihoodOptions& options);

namespace {

struct NamedLikelihood {
  std::string_view name;
  std::shared_ptr<Likelihood> (*make)(const LikelihoodOptions&);
  Support support = Support::real;
  std::string_view default_variance = "fixed";  // of model.likelihood_variance=auto
};

constexpr NamedLikelihood likelihoods[] = {
    {.name = "bernoulli", .make = bernoulli_likelihood, .support = Support::unit_interval},
    {.name = "gaussian", .make = gaussian_likelihood},
    {.name = "laplace", .make = laplace_likelihood},
    {.name = "discretized_logistic",
     .make = discretized_logistic_likelihood,
     .support = Support::unit_interval,
     .default_variance = "predicted"},
    {.name = "categorical", .make = categorical_likelihood, .support = Support::unit_interval},
    {.name = "multinomial", .make = multinomial_likelihood, .support = Support::non_negative},
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
      "p(x|z) of each element; bernoulli: x in [0, 1]; discretized_logistic, categorical: x in [0, 1] with "
      "model.likelihood_levels values; multinomial: counts, such as interactions, 0 or more; "
      "mixed: tables, by model.likelihood_columns; auto: bernoulli for images, gaussian otherwise");
  table.add_choice("model.likelihood_variance", variance, {"auto", "fixed", "learned", "predicted"},
                   "how the scale of gaussian, laplace and discretized_logistic is set; fixed: it is "
                   "model.likelihood_scale; learned: one number; predicted: by the decoder, for each "
                   "element; auto: predicted for discretized_logistic, fixed otherwise");
  table.add("model.likelihood_scale", scale,
            "the scale of the likelihood (a standard deviation, in the unit of x), or its initial value",
            Range::above(0));
  table.add("model.likelihood_levels", levels,
            "number of values of an element, for categorical and discretized_logistic", Range::at_least(2));
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

torch::Tensor Likelihood::log_prob_of_rows(const torch::Tensor& decoded, const torch::Tensor& x) const {
  return sum_over_row(log_prob_of_elements(decoded, x));
}

Support likelihood_support(const std::string& name) {
  const NamedLikelihood* const found = named_likelihood(name);
  return found == nullptr ? Support::real : found->support;
}

std::shared_ptr<Likelihood> make_likelihood(const LikelihoodOptions& options, bool images) {
  LikelihoodOptions chosen = options;
  if (chosen.name == "auto") chosen.name = images ? "bernoulli" : "gaussian";
  const NamedLikelihood* const found = named_likelihood(chosen.name);
  if (found == nullptr)
    usage_error("model.likelihood={}: expected one of {}", chosen.name, join(choices(), ", "));
  if (chosen.variance == "auto") chosen.variance = found->default_variance;
  return found->make(chosen);
}

}  // namespace elbo
