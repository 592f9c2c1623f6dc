#include "elbo/nn/likelihood.h"

#include <torch/types.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

// Each is defined in nn/likelihood_NAME.cpp. `variance` in the options is never auto.
std::shared_ptr<Likelihood> bernoulli_likelihood(const LikelihoodOptions& options);
std::shared_ptr<Likelihood> gaussian_likelihood(const LikelihoodOptions& options);
std::shared_ptr<Likelihood> laplace_likelihood(const LikelihoodOptions& options);
std::shared_ptr<Likelihood> discretized_logistic_likelihood(const LikelihoodOptions& options);
std::shared_ptr<Likelihood> categorical_likelihood(const LikelihoodOptions& options);
std::shared_ptr<Likelihood> multinomial_likelihood(const LikelihoodOptions& options);

namespace {

struct NamedLikelihood {
  std::string_view name;
  std::shared_ptr<Likelihood> (*make)(const LikelihoodOptions&);
  bool in_unit_interval = false;                // needs rows in [0, 1]
  std::string_view default_variance = "fixed";  // of model.likelihood_variance=auto
};

constexpr NamedLikelihood likelihoods[] = {
    {.name = "bernoulli", .make = bernoulli_likelihood, .in_unit_interval = true},
    {.name = "gaussian", .make = gaussian_likelihood},
    {.name = "laplace", .make = laplace_likelihood},
    {.name = "discretized_logistic",
     .make = discretized_logistic_likelihood,
     .in_unit_interval = true,
     .default_variance = "predicted"},
    {.name = "categorical", .make = categorical_likelihood, .in_unit_interval = true},
    {.name = "multinomial", .make = multinomial_likelihood},
};

std::vector<std::string> choices() {
  std::vector<std::string> names = {"auto"};
  for (const NamedLikelihood& likelihood : likelihoods) names.emplace_back(likelihood.name);
  return names;
}

}  // namespace

void LikelihoodOptions::bind(OptionTable& table) {
  table.add_choice(
      "model.likelihood", name, choices(),
      "p(x|z) of each element; bernoulli: x in [0, 1]; discretized_logistic, categorical: x in [0, 1] with "
      "model.likelihood_levels values; multinomial: counts, such as interactions; auto: bernoulli for "
      "images, gaussian otherwise");
  table.add_choice("model.likelihood_variance", variance, {"auto", "fixed", "learned", "predicted"},
                   "how the scale of gaussian, laplace and discretized_logistic is set; fixed: it is "
                   "model.likelihood_scale; learned: one number; predicted: by the decoder, for each "
                   "element; auto: predicted for discretized_logistic, fixed otherwise");
  table.add("model.likelihood_scale", scale,
            "the scale of the likelihood (a standard deviation, in the unit of x), or its initial value",
            Range::above(0));
  table.add("model.likelihood_levels", levels,
            "number of values of an element, for categorical and discretized_logistic", Range::at_least(2));
}

torch::Tensor Likelihood::log_prob(const torch::Tensor& decoded, const torch::Tensor& x) const {
  return log_prob_of_rows(decoded.unflatten(0, {-1, x.size(0)}), x).flatten();
}

std::shared_ptr<Likelihood> make_likelihood(const LikelihoodOptions& options, bool rows_in_unit_interval) {
  LikelihoodOptions chosen = options;
  if (chosen.name == "auto") chosen.name = rows_in_unit_interval ? "bernoulli" : "gaussian";
  const auto* found = std::ranges::find(likelihoods, std::string_view(chosen.name), &NamedLikelihood::name);
  if (found == std::end(likelihoods))
    usage_error("model.likelihood={}: expected one of {}", chosen.name, join(choices(), ", "));
  if (found->in_unit_interval && !rows_in_unit_interval)
    usage_error(
        "model.likelihood={}: needs data in [0, 1], and this data set is not known to be; use gaussian",
        chosen.name);
  if (chosen.variance == "auto") chosen.variance = found->default_variance;
  return found->make(chosen);
}

}  // namespace elbo
