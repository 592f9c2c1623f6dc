#include "elbo/nn/networks.h"

#include <gtest/gtest.h>
#include <torch/nn/functional.h>
#include <torch/types.h>

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/nn/distributions.h"
#include "elbo/nn/layers.h"

namespace elbo {
namespace {

TEST(Networks, EncoderAndDecoderFollowTheShapeOfTheRow) {
  const std::vector<std::vector<int64_t>> rows{{1, 28, 28}, {3, 32, 32}, {1, 29, 17},
                                               {3, 20, 16}, {7},         {5, 9}};
  for (const std::vector<int64_t>& row : rows)
    for (const char* kind : {"auto", "mlp", "conv"}) {
      if (std::string(kind) == "conv" && row.size() != 3) continue;
      NetworkOptions options;
      options.kind = kind;
      options.hidden = {32};
      options.channels = {4, 8};
      RandomGenerator init(Key(1));
      const auto encoder = make_encoder(options, row, 6, init);
      const auto decoder = make_decoder(options, row, 3, 2, init);
      std::vector<int64_t> batch{5}, decoded{5, 2};
      batch.insert(batch.end(), row.begin(), row.end());
      decoded.insert(decoded.end(), row.begin(), row.end());
      EXPECT_EQ(encoder->forward(init.uniform(batch)).sizes(), (std::vector<int64_t>{5, 6}));
      EXPECT_EQ(decoder->forward(init.normal({5, 3})).sizes(), decoded) << kind;
    }
}

TEST(Networks, ConvolutionsRefuseRowsThatAreNotImages) {
  NetworkOptions options;
  options.kind = "conv";
  RandomGenerator init(Key(1));
  EXPECT_THROW(make_encoder(options, {7}, 6, init), Error);
  EXPECT_THROW(make_encoder(options, {1, 2, 2}, 6, init), Error);
}

TEST(Networks, AnEncodersOutputsAreWhatItsLastLayerMakesOfItsFeatures) {
  NetworkOptions options;
  options.hidden = {32, 7};
  options.channels = {4, 8};
  RandomGenerator init(Key(1));
  for (const std::vector<int64_t>& row : {std::vector<int64_t>{1, 16, 16}, {6}}) {
    const auto encoder = make_encoder(options, row, 3, init);
    std::vector<int64_t> batch{5};
    batch.insert(batch.end(), row.begin(), row.end());
    const torch::Tensor x = init.uniform(batch), features = encoder->features(x);
    EXPECT_EQ(features.sizes(), (std::vector<int64_t>{5, 7}));
    EXPECT_GE(features.min().item<double>(), 0);  // after a relu
    EXPECT_TRUE(torch::equal(encoder->forward(x), encoder->outputs(features)));
  }
}

TEST(Networks, TheInputOfAnEncoderIsTransformedAsItsOptionSays) {
  const torch::Tensor x = torch::tensor({{3.0F, 0.0F, -4.0F}, {0.0F, 0.0F, 0.0F}});
  EXPECT_TRUE(network_input("raw", x).equal(x));
  EXPECT_TRUE(network_input("auto", x).equal(x));
  const float log4 = std::log(4.0F), log5 = std::log(5.0F);
  EXPECT_TRUE(
      torch::allclose(network_input("log1p", x), torch::tensor({{log4, 0.0F, -log5}, {0.0F, 0.0F, 0.0F}})));
  EXPECT_TRUE(
      torch::allclose(network_input("l2", x), torch::tensor({{0.6F, 0.0F, -0.8F}, {0.0F, 0.0F, 0.0F}})));
  for (const char* kind : {"log1p", "l2"})
    for (const std::vector<int64_t>& row : {std::vector<int64_t>{1, 16, 16}, {6}}) {
      std::vector<int64_t> sizes{5};
      sizes.insert(sizes.end(), row.begin(), row.end());
      RandomGenerator data(Key(2));
      const torch::Tensor rows = 10 * data.uniform(sizes);
      const auto encoder_of = [&](const std::string& input) {
        NetworkOptions options;
        options.hidden = {8};
        options.channels = {4};
        options.input = input;
        RandomGenerator init(Key(1));
        return make_encoder(options, row, 3, init);
      };
      EXPECT_TRUE(
          encoder_of(kind)->forward(rows).equal(encoder_of("raw")->forward(network_input(kind, rows))));
    }
}

TEST(Networks, WithoutHiddenLayersAnMlpIsLinear) {
  NetworkOptions options;
  options.kind = "mlp";
  options.hidden = {};
  RandomGenerator init(Key(1));
  const auto encoder = make_encoder(options, {4}, 2, init);
  const torch::Tensor a = init.normal({1, 4}), b = init.normal({1, 4}), zero = torch::zeros({1, 4});
  const torch::Tensor sum = encoder->forward(a + b) - encoder->forward(zero);
  EXPECT_TRUE(torch::allclose(sum, encoder->forward(a) + encoder->forward(b) - 2 * encoder->forward(zero),
                              1e-5, 1e-6));
}

TEST(Layers, AreInitialisedAsByHeFromTheirGeneratorAlone) {
  RandomGenerator one(Key(1)), same(Key(1));
  Linear layer(100, 50, one), twin(100, 50, same);
  for (const torch::Tensor& parameter : layer.parameters())
    EXPECT_LE(parameter.abs().max().item<double>(), 1 / std::sqrt(100.0));
  EXPECT_NEAR(layer.parameters()[0].std().item<double>(), 0.1 / std::sqrt(3.0), 0.002);
  EXPECT_TRUE(torch::equal(layer.parameters()[0], twin.parameters()[0]));
}

TEST(Layers, ConvolutionsAreThoseOfLibTorch) {
  namespace functional = torch::nn::functional;
  RandomGenerator noise(Key(1));
  Conv2d down(3, 5, 4, 2, 1, noise);
  const torch::Tensor x = noise.normal({2, 3, 9, 8});
  EXPECT_TRUE(torch::allclose(
      down.forward(x),
      functional::conv2d(x, down.parameters()[0],
                         functional::Conv2dFuncOptions().bias(down.parameters()[1]).stride(2).padding(1)),
      1e-4, 1e-5));
  ConvTranspose2d up(5, 1, 4, 2, 1, {1, 0}, noise);
  const torch::Tensor y = noise.normal({2, 5, 4, 4});
  EXPECT_TRUE(torch::allclose(up.forward(y),
                              functional::conv_transpose2d(y, up.parameters()[0],
                                                           functional::ConvTranspose2dFuncOptions()
                                                               .bias(up.parameters()[1])
                                                               .stride(2)
                                                               .padding(1)
                                                               .output_padding({1, 0})),
                              1e-4, 1e-5));
}

TEST(Layers, AnUnknownActivationIsAnError) { EXPECT_THROW(find_activation("rleu"), Error); }

TEST(DiagonalNormal, KlIsThatOfKingmaAndWelling) {
  RandomGenerator noise(Key(2));
  const DiagonalNormal q{noise.normal({4, 3}), noise.normal({4, 3})};
  const torch::Tensor kl = q.kl_to_standard();
  for (int64_t i = 0; i < 12; ++i) {
    const double mean = q.mean.view(-1)[i].item<double>(), logvar = q.logvar.view(-1)[i].item<double>();
    EXPECT_NEAR(kl.view(-1)[i].item<double>(), -0.5 * (1 + logvar - mean * mean - std::exp(logvar)), 1e-5);
  }
}

TEST(DiagonalNormal, KlIsTheMeanOfTheLogRatioOfItsDensities) {
  RandomGenerator noise(Key(3));
  const DiagonalNormal q{noise.normal({2, 3}), noise.normal({2, 3}) - 1};
  const torch::Tensor z = q.sample(noise, 100000);
  const torch::Tensor ratio = (q.log_prob(z) - standard_normal_log_prob(z)).mean(0, false, torch::kFloat64);
  EXPECT_TRUE(torch::allclose(ratio, q.kl_to_standard().sum(1).to(torch::kFloat64), 0, 0.03));
}

TEST(DiagonalNormal, SamplesHaveItsMoments) {
  RandomGenerator noise(Key(4));
  const DiagonalNormal q = DiagonalNormal::of(torch::tensor({{1.0F, -2.0F, 0.0F, 1.0F}}));
  const torch::Tensor z = q.sample(noise, 100000).squeeze(1);
  EXPECT_TRUE(torch::allclose(z.mean(0), torch::tensor({1.0F, -2.0F}), 0, 0.02));
  EXPECT_TRUE(torch::allclose(z.var(0), torch::tensor({1.0F, std::exp(1.0F)}), 0, 0.05));
}

}  // namespace
}  // namespace elbo
