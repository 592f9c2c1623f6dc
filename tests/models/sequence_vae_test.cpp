#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/models/registry.h"
#include "elbo/nn/sequences.h"
#include "oracles.h"
#include "small_models.h"

namespace elbo {
namespace {

class SequenceVae : public testing::TestWithParam<std::string> {
 protected:
  std::shared_ptr<Model> model(const std::string& data) const {
    return small_model("sequence_vae", data,
                       {{"model.latent", "3"},
                        {"model.hidden", "12"},
                        {"model.embedding", "5"},
                        {"model.decoder", GetParam()}});
  }
  const torch::NoGradGuard no_grad;
};

TEST_P(SequenceVae, PaddingChangesNothing) {
  for (const char* data : {"tokens", "sequence"}) {
    const auto tested = model(data);
    const auto [batch, other] = rows_that_differ_beyond_their_length(data);
    RandomGenerator one(Key(2)), two(Key(2));
    EXPECT_TRUE(torch::equal(tested->evaluate(batch, one).loss, tested->evaluate(other, two).loss)) << data;
    EXPECT_TRUE(torch::equal(tested->encode(batch).z, tested->encode(other).z)) << data;
  }
}

TEST_P(SequenceVae, TheProbabilitiesOfAllSequencesSumToOne) {
  RandomGenerator init(Key(1));
  const auto elements = make_token_elements(5, 4, 6, 7, init);
  const auto decoder = make_sequence_decoder(GetParam(), 6, 2, 7, {1, 2}, init);
  const torch::Tensor z = init.normal({1, 2}).expand({125, 2});
  const torch::Tensor i = torch::arange(125);
  const torch::Tensor x = torch::stack({torch::ones({125}, torch::kInt64), i.remainder(5),
                                        i.div(5, "floor").remainder(5), i.div(25, "floor")},
                                       1)
                              .to(torch::kFloat32);
  const torch::Tensor features = decoder->forward(elements->embed(elements->decoder_inputs(x, {})), z, 3);
  EXPECT_NEAR(elements->log_prob(features, x, {}).exp().sum().item<double>(), 1, 1e-5);
}

TEST_P(SequenceVae, FeaturesAreCausalAndEqualThoseOfOneStepAtATime) {
  RandomGenerator init(Key(1));
  const auto decoder = make_sequence_decoder(GetParam(), 4, 2, 7, {1, 2}, init);
  const torch::Tensor before = init.normal({3, 9, 4}), z = init.normal({3, 2});
  const torch::Tensor features = decoder->forward(before, z, 9);
  torch::Tensor changed = before.clone();
  changed.select(1, 5).add_(1);
  const torch::Tensor moved = (decoder->forward(changed, z, 9) - features).abs().sum({0, 2});
  EXPECT_LT(moved.narrow(0, 0, 5).max().item<double>(), 1e-5);
  EXPECT_GT(moved[5].item<double>(), 1e-3);
  torch::Tensor state = decoder->initial_state(z);
  for (int64_t step = 0; step < 9; ++step)
    EXPECT_TRUE(torch::allclose(decoder->step(before.select(1, step), z, state), features.select(1, step),
                                1e-4, 1e-5));
}

TEST_P(SequenceVae, GeneratedTokensBeginWithBosAndEndWithPads) {
  const auto tested = model("tokens");
  RandomGenerator noise(Key(2));
  const torch::Tensor x = tested->decode(3 * tested->prior_sample(50, {}, noise), {});
  EXPECT_TRUE(x.select(1, 0).eq(1).all().item<bool>());
  const torch::Tensor ended = x.eq(2).cumsum(1) - x.eq(2).to(torch::kInt64);
  EXPECT_TRUE(x.masked_select(ended.gt(0)).eq(0).all().item<bool>());
}

TEST_P(SequenceVae, WordDropoutIsOnlyInTraining) {
  const std::vector<Setting> settings{{"model.decoder", GetParam()}, {"model.word_dropout", "1"}};
  const auto plain = small_model("sequence_vae", "tokens", {{"model.decoder", GetParam()}});
  const auto dropped = small_model("sequence_vae", "tokens", settings);
  const Batch batch = rows("tokens", 5);
  RandomGenerator one(Key(3)), two(Key(3)), three(Key(3));
  const torch::Tensor expected = plain->evaluate(batch, one).loss;
  EXPECT_TRUE(torch::equal(dropped->evaluate(batch, two).loss, expected));
  EXPECT_FALSE(torch::allclose(dropped->objective({"model", 0, 0}, batch, three).loss, expected));
}

TEST_P(SequenceVae, TheTermTokensCountsThoseAfterBos) {
  const auto tested = model("tokens");
  const Batch batch = rows("tokens", 5);
  RandomGenerator noise(Key(3));
  const LossTerms terms = tested->evaluate(batch, noise);
  EXPECT_EQ(terms.parts.back().first, "tokens");
  EXPECT_TRUE(torch::equal(terms.parts.back().second, (batch.length - 1).to(torch::kFloat32)));
}

INSTANTIATE_TEST_SUITE_P(Decoders, SequenceVae, testing::ValuesIn(sequence_decoder_names()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace elbo
