// Rows with missing elements (data.missing=mask).
#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/objectives/bounds.h"
#include "oracles.h"
#include "small_models.h"

namespace elbo {
namespace {

std::shared_ptr<Model> masked_model(const std::string& name, const std::string& data) {
  ModelContext context{.data = small_data(data), .network = {}, .name = name};
  context.data.rows = 100;
  context.data.masked = true;
  context.network.hidden = {16};
  context.network.channels = {4, 8};
  RandomGenerator init(Key(1));
  return with_options(name, {})->build(context, init);
}

std::string masked_refusal(const std::string& name, const std::string& data) {
  try {
    masked_model(name, data);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

// Variants with the data that they take masks of.
std::vector<Case> masked_cases() {
  std::vector<Case> cases;
  for (const auto& spec : all_models())
    for (const char* data : {"tabular", "labelled_image", "sequence", "video"})
      if (masked_refusal(spec->name(), data).empty()) cases.push_back({spec->name(), data});
  return cases;
}

Batch masked_rows(const std::string& data, int64_t n, const torch::Tensor& observed) {
  Batch batch = rows(data, n);
  batch.observed = observed.expand_as(batch.x).contiguous();
  return batch.with_x(batch.x);
}

class MaskedModel : public testing::TestWithParam<Case> {
 protected:
  std::shared_ptr<Model> model() const { return masked_model(GetParam().model, GetParam().data); }
};

TEST_P(MaskedModel, ElementsThatAreMissingDoNotCount) {
  const torch::NoGradGuard no_grad;
  const auto tested = model();
  const auto reconstruction = [&](const torch::Tensor& observed) {
    RandomGenerator noise(Key(2));
    const LossTerms terms = tested->evaluate(masked_rows(GetParam().data, 4, observed), noise);
    const auto found = std::ranges::find(terms.parts, std::string("reconstruction"),
                                         &std::pair<std::string, torch::Tensor>::first);
    return found == terms.parts.end() ? terms.loss : found->second;
  };
  EXPECT_GT(reconstruction(torch::ones({1}, torch::kBool)).abs().min().item<double>(), 0);
  if (GetParam().model == "iwae" || GetParam().model == "miwae") return;  // whose terms are bounds
  EXPECT_EQ(reconstruction(torch::zeros({1}, torch::kBool)).abs().max().item<double>(), 0);
}

TEST_P(MaskedModel, TrainsAndImputes) {
  const auto tested = model();
  RandomGenerator noise(Key(3));
  const Batch batch = rows(GetParam().data, 8);
  const Batch masked = masked_rows(GetParam().data, 8, noise.uniform(batch.x.sizes()) < 0.6);
  learn(*tested, masked, 3);
  for (const torch::Tensor& parameter : tested->parameters())
    EXPECT_TRUE(parameter.isfinite().all().item<bool>());
  const torch::NoGradGuard no_grad;
  const torch::Tensor imputed = tested->impute(masked, 5, noise);
  EXPECT_EQ(imputed.sizes(), batch.x.sizes());
  EXPECT_TRUE(imputed.isfinite().all().item<bool>());
}

// The encoder sees which elements are missing, not only that they are 0.
TEST_P(MaskedModel, TheEncoderSeesTheMask) {
  const torch::NoGradGuard no_grad;
  if (GetParam().model == "vq_vae") return;  // whose nearest code may stay the same
  const auto tested = model();
  Batch batch = masked_rows(GetParam().data, 2, torch::zeros({1}, torch::kBool));
  const torch::Tensor missing = tested->encode(batch).z;
  batch.observed = torch::ones_like(batch.observed);
  EXPECT_FALSE(torch::allclose(tested->encode(batch).z, missing));
}

INSTANTIATE_TEST_SUITE_P(Registry, MaskedModel, testing::ValuesIn(masked_cases()),
                         [](const auto& tested) { return tested.param.model + "_" + tested.param.data; });

TEST(MissingElements, AreRefusedByModelsThatNeedWholeRows) {
  for (const auto& [model, data] :
       {std::pair{"gan", "tabular"}, std::pair{"gan", "labelled_image"}, std::pair{"vae_gan", "tabular"}})
    EXPECT_THAT(masked_refusal(model, data),
                testing::AllOf(testing::HasSubstr("data.missing=mask"), testing::HasSubstr(model)))
        << model;
  for (const char* model : {"vae", "iwae", "miwae", "hierarchical_vae", "iaf_vae", "vq_vae", "autoencoder"})
    EXPECT_EQ(masked_refusal(model, "tabular"), "") << model;
}

// The likelihood of an element that is missing does not count, but that of the next one depends on it.
TEST(MissingElements, OfASequenceAreLeftOutOfItsTerms) {
  const torch::NoGradGuard no_grad;
  for (const char* model : {"sequence_vae", "vrnn"}) {
    const auto tested = masked_model(model, "sequence");
    torch::Tensor observed = torch::ones({8, 3}, torch::kBool);
    const auto nats = [&] {
      RandomGenerator noise(Key(6));
      return part(tested->evaluate(masked_rows("sequence", 3, observed), noise), "reconstruction");
    };
    const torch::Tensor all = nats();
    observed[7].fill_(false);  // no element follows it
    const torch::Tensor without_last = nats();
    EXPECT_TRUE((without_last < all - 0.5).all().item<bool>()) << model << all << without_last;
    observed[2][1] = false;
    EXPECT_TRUE((without_last - nats()).abs().gt(1e-3).all().item<bool>()) << model;
  }
}

// Probabilistic PCA (Tipping & Bishop 1999), x = Wz + b + σε, of which only some elements are observed: these
// have the density of N(b, WWᵀ + σ²I) in their dimensions, and the others the conditional mean.
class PartlyObservedPca : public testing::Test {
 protected:
  void SetUp() override {
    ModelContext context;
    context.data = {.x = {4}, .kind = "tabular", .masked = true};
    context.network.kind = "mlp";
    context.network.hidden = {};
    RandomGenerator init(Key(1));
    model_ = with_options(
                 "vae",
                 {{"model.latent", "2"}, {"model.likelihood", "gaussian"}, {"model.likelihood_scale", "0.8"}})
                 ->build(context, init);
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model_->named_parameters()) {
      const bool weight = parameter.value().dim() == 2;
      if (parameter.key().starts_with("decoder")) parameter.value().copy_(weight ? w_ : b_);
    }
    batch_ = Batch{.x = x_, .label = {}, .ids = torch::arange(2), .observed = observed_};
    batch_ = batch_.with_x(x_);
  }

  // The observed and the missing elements of a row.
  torch::Tensor at(int64_t row, bool observed) const {
    return observed_[row].eq(observed).nonzero().squeeze(1);
  }
  torch::Tensor covariance(const torch::Tensor& rows, const torch::Tensor& columns) const {
    const torch::Tensor w = w_.to(torch::kFloat64);
    const torch::Tensor all = w.matmul(w.t()) + 0.64 * torch::eye(4, torch::kFloat64);
    return all.index_select(0, rows).index_select(1, columns);
  }
  torch::Tensor residual(int64_t row) const {
    return (x_[row] - b_).to(torch::kFloat64).index_select(0, at(row, true));
  }

  torch::Tensor w_ = torch::tensor({{1.0F, 0.5F}, {1.0F, -0.5F}, {0.0F, 0.7F}, {0.5F, 0.0F}});
  torch::Tensor b_ = torch::tensor({0.1F, -0.2F, 0.3F, 0.0F});
  torch::Tensor x_ = torch::tensor({{0.5F, 1.0F, -0.3F, 0.2F}, {-1.0F, 0.4F, 0.9F, 0.1F}});
  torch::Tensor observed_ = torch::tensor({{true, false, true, true}, {false, true, false, true}});
  std::shared_ptr<Model> model_;
  Batch batch_;
};

TEST_F(PartlyObservedPca, TheBoundRisesToTheLikelihoodOfObservedElements) {
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(4));
  torch::Tensor bound = torch::zeros({2}, torch::kFloat64);
  for (int i = 0; i < 20; ++i)
    bound += importance_weighted_bound(*model_->log_weights(batch_, 20'000, noise)) / 20;
  for (int64_t row = 0; row < 2; ++row) {
    const torch::Tensor exact =
        normal_log_density(residual(row).unsqueeze(0), covariance(at(row, true), at(row, true)));
    EXPECT_NEAR(bound[row].item<double>(), exact.item<double>(), 0.01);
  }
}

TEST_F(PartlyObservedPca, MissingElementsAreImputedWithTheirConditionalMean) {
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(5));
  const torch::Tensor imputed = model_->impute(batch_, 200'000, noise).to(torch::kFloat64);
  for (int64_t row = 0; row < 2; ++row) {
    const torch::Tensor seen = at(row, true), missing = at(row, false);
    const torch::Tensor expected =
        b_.to(torch::kFloat64).index_select(0, missing) +
        covariance(missing, seen).matmul(torch::linalg_solve(covariance(seen, seen), residual(row)));
    EXPECT_TRUE(torch::allclose(imputed[row].index_select(0, missing), expected, 0, 0.02))
        << imputed[row] << expected;
  }
}

}  // namespace
}  // namespace elbo
