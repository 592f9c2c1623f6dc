// Likelihoods of counts in the variants.
#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/base/error.h"
#include "small_models.h"

namespace elbo {
namespace {

constexpr int64_t genes = 6, batches = 2;

std::shared_ptr<Model> counts_model(const std::string& name, const std::vector<Setting>& settings,
                                    const std::string& input = "log1p") {
  ModelContext context{
      .data = {.x = {genes}, .kind = "counts", .classes = batches}, .network = {}, .name = name};
  context.network.hidden = {16};
  context.network.input = input;
  RandomGenerator init(Key(1));
  return with_options(name, settings)->build(context, init);
}

Batch cells(int64_t n) {
  RandomGenerator noise(Key(4));
  const torch::Tensor x = (noise.uniform({n, genes}).pow(3) * 200).floor();
  return {x, torch::arange(n).remainder(batches), torch::arange(n)};
}

TEST(Counts, EveryVariantForTablesLearnsThemWithAnObservedLibrary) {
  const Batch batch = cells(16);
  std::vector<std::string> learned;
  for (const auto& spec : all_models()) {
    std::shared_ptr<Model> model;
    try {
      model = counts_model(spec->name(),
                           {{"model.likelihood", "negative_binomial"}, {"model.library", "observed"}});
    } catch (const Error&) {
      continue;  // adversaries and models of sequences
    }
    const auto loss = [&] {
      const torch::NoGradGuard no_grad;
      RandomGenerator noise(Key(6));
      return model->evaluate(batch, noise).loss.mean().item<double>();
    };
    const double before = loss();
    learn(*model, batch, 60, 0.01);
    EXPECT_LT(loss(), before) << spec->name();
    const torch::NoGradGuard no_grad;
    const torch::Tensor rows = model->decode_rows(model->encode(batch), batch);
    EXPECT_TRUE(torch::allclose(rows.sum(1), batch.x.sum(1), 1e-4)) << spec->name();
    EXPECT_NEAR(model->decode(model->encode(batch).z, batch.label).sum(1)[0].item<double>(), 10000, 1);
    learned.push_back(spec->name());
  }
  EXPECT_THAT(learned, testing::IsSupersetOf({"vae", "cvae", "iwae", "hierarchical_vae", "iaf_vae",
                                              "vamp_vae", "vq_vae", "aae", "autoencoder"}));
}

TEST(Counts, ADispersionOfTheBatchIsThatOfTheRowsClass) {
  const auto model = counts_model("cvae", {{"model.likelihood", "negative_binomial"},
                                           {"model.library", "observed"},
                                           {"model.dispersion", "gene-batch"}});
  const Batch batch = cells(8);
  const auto losses = [&] {
    const torch::NoGradGuard no_grad;
    RandomGenerator noise(Key(6));
    return model->evaluate(batch, noise).loss;
  };
  const torch::Tensor before = losses();
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model->named_parameters())
      if (parameter.key() == "likelihood.log_inverse_dispersion") parameter.value()[1].fill_(2);
  }
  const torch::Tensor changed = losses().ne(before);
  EXPECT_TRUE(changed.equal(batch.label.eq(1)));
  EXPECT_THROW(
      counts_model("vae", {{"model.likelihood", "negative_binomial"}, {"model.dispersion", "gene-batch"}}),
      Error);
}

TEST(Counts, ASequenceHasNoObservedLibrary) {
  try {
    small_model("vrnn", "sequence", {{"model.likelihood", "poisson"}, {"model.library", "observed"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("model.library=observed: a sequence is generated"));
  }
  EXPECT_NO_THROW(small_model("vrnn", "sequence", {{"model.likelihood", "poisson"}}));
}

// Mult-VAE (Liang et al. 2018, section 2.4): dropout of the normalised row.
TEST(Vae, InputDropoutFollowsTheNormalisation) {
  const auto posterior_means = [](const std::string& input, const torch::Tensor& x) {
    const torch::NoGradGuard no_grad;
    return counts_model("vae", {{"model.likelihood", "multinomial"}, {"model.input_dropout", "0.5"}}, input)
        ->encode({x, {}, torch::arange(x.size(0))})
        .z;
  };
  const torch::Tensor x = cells(8).x + 1;
  const torch::Tensor normalised = x / x.square().sum(1, true).sqrt();
  EXPECT_TRUE(torch::allclose(posterior_means("l2", x), posterior_means("raw", normalised), 1e-4, 1e-6));
  // The loss of a normalised row that is dropped out is that of raw rows which were normalised before.
  const auto loss = [&](const std::string& input, const torch::Tensor& seen) {
    const auto model =
        counts_model("vae", {{"model.likelihood", "multinomial"}, {"model.input_dropout", "0.5"}}, input);
    RandomGenerator noise(Key(5));
    return part(model->objective({"model", 0, 0}, {seen, {}, torch::arange(8)}, noise), "kl").detach();
  };
  EXPECT_TRUE(torch::allclose(loss("l2", x), loss("raw", normalised), 1e-4, 1e-6));
}

}  // namespace
}  // namespace elbo
