#include "oracles.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "elbo/objectives/bounds.h"
#include "small_models.h"

namespace elbo {

torch::Tensor normal_log_density(const torch::Tensor& residual, const torch::Tensor& covariance) {
  const torch::Tensor r = residual.to(torch::kFloat64), c = covariance.to(torch::kFloat64);
  const torch::Tensor distance = (r.matmul(c.inverse()) * r).sum(1);
  const auto n = static_cast<double>(c.size(0));
  return -0.5 * (distance + c.logdet() + n * std::log(2 * std::numbers::pi));
}

void expect_gradient_of_differences(Model& model, const Batch& batch) {
  model.to(torch::kFloat64);
  const Batch precise{batch.x.to(torch::kFloat64), batch.label, batch.ids};
  const auto loss = [&] {
    RandomGenerator noise(Key(7));
    return model.objective({"model", 0, 0}, precise, noise).loss.sum();
  };
  loss().backward();
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model.named_parameters()) {
    torch::Tensor element = parameter.value().view({-1})[0];
    constexpr double step = 1e-5;
    element += step;
    const double above = loss().item<double>();
    element -= 2 * step;
    const double below = loss().item<double>();
    element += step;
    EXPECT_NEAR(parameter.value().grad().view({-1})[0].item<double>(), (above - below) / (2 * step), 1e-4)
        << parameter.key();
  }
}

void expect_one_likelihood(Model& model, const Batch& batch, int64_t k, double tolerance) {
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(6));
  const torch::Tensor weights = model.log_weights(batch, k, noise).value_or(torch::Tensor());
  const torch::Tensor weighted = importance_weighted_bound(weights);
  const torch::Tensor means =
      model.decode(model.prior_sample(k, {}, noise), {}).unsqueeze(1);  // (k, 1, …row)
  const torch::Tensor logs = -0.5 * ((means - batch.x).square() + std::log(2 * std::numbers::pi)).sum(-1);
  const torch::Tensor from_prior = importance_weighted_bound(logs);
  EXPECT_TRUE(torch::allclose(weighted, from_prior, 0, tolerance)) << weighted << from_prior;
}

std::pair<Batch, Batch> rows_that_differ_beyond_their_length(const std::string& data) {
  Batch batch = rows(data, 6);
  batch.length = torch::tensor({0, 3, 4, 5, 7, 8});
  Batch other = batch;
  other.x = batch.x.clone();
  for (int64_t i = 0; i < 6; ++i) {
    const auto length = batch.length[i].item<int64_t>();
    if (length < 8) other.x[i].narrow(0, length, 8 - length).fill_(5);
  }
  return {batch, other};
}

}  // namespace elbo
