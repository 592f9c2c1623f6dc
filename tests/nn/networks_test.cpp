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

TEST(Networks, EncoderAndDecoderFollowTheShapeOfAVolume) {
  const std::vector<std::vector<int64_t>> rows{{1, 16, 16, 16}, {2, 9, 12, 17}, {1, 4, 5, 7}};
  for (const std::vector<int64_t>& row : rows)
    for (const char* kind : {"auto", "mlp", "conv"}) {
      NetworkOptions options;
      options.kind = kind;
      options.channels = {4, 8};
      options.spatial = 3;
      EXPECT_EQ(is_convolutional(options, row),
                std::string(kind) == "conv" || (kind[0] == 'a' && row[1] > 8));
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

// The standard deviation of a parameter in units of 1/√fan_in.
double deviation(const torch::nn::Module& network, const std::string& name, double fan_in) {
  return network.named_parameters()[name].std(/*unbiased=*/false).item<double>() * std::sqrt(fan_in);
}

TEST(Networks, WeightsKeepTheSizeOfWhatPassesAndDistributionsBeginSmall) {
  NetworkOptions options;
  options.init = "he";
  options.hidden = {300, 200};
  options.channels = {24, 48};
  RandomGenerator init(Key(1));
  const auto encoder = make_encoder(options, {1, 16, 16}, 40, init);
  const auto decoder = make_decoder(options, {1, 16, 16}, 20, 2, init);
  EXPECT_NEAR(deviation(*encoder, "conv1.weight", 24 * 16), std::sqrt(2), 0.03);
  EXPECT_NEAR(deviation(*encoder, "mlp.dense1.weight", 300), std::sqrt(2), 0.03);
  EXPECT_NEAR(deviation(*encoder, "mlp.dense2.weight", 200), 0.1 * std::sqrt(2), 0.003);
  EXPECT_NEAR(deviation(*decoder, "mlp.dense2.weight", 300), std::sqrt(2), 0.03) << "other layers follow";
  // Each output of a kernel of 4 with the stride 2 is a sum over 4 inputs of each channel.
  EXPECT_NEAR(deviation(*decoder, "conv0.weight", 48 * 4), std::sqrt(2), 0.03);
  EXPECT_NEAR(deviation(*decoder, "conv1.weight", 24 * 4), 0.1 * std::sqrt(2), 0.006);
  for (const auto& network : {encoder->named_parameters(), decoder->named_parameters()})
    for (const auto& parameter : network) {
      const bool is_bias = parameter.key().ends_with("bias");
      EXPECT_EQ(parameter.value().abs().max().item<float>() == 0, is_bias) << parameter.key();
    }

  const auto features = make_encoder(options, {100}, 150, init, 0, Outputs::features);
  EXPECT_NEAR(deviation(*features, "mlp.dense2.weight", 200), std::sqrt(2), 0.03);
  options.activation = "tanh";
  EXPECT_NEAR(deviation(*make_encoder(options, {100}, 40, init), "mlp.dense1.weight", 300), 1, 0.03);
}

TEST(Networks, WeightsAndBiasesOfPytorchAreUniform) {
  NetworkOptions options;
  RandomGenerator init(Key(1));
  const auto decoder = make_decoder(options, {50}, 20, 1, init);
  for (const char* name : {"mlp.dense1.weight", "mlp.dense1.bias"})
    EXPECT_NEAR(deviation(*decoder, name, 400), 1 / std::sqrt(3), 0.06);
  EXPECT_LE(decoder->named_parameters()["mlp.dense1.weight"].abs().max().item<double>(), 1 / std::sqrt(400));
}

TEST(Networks, ConvolutionsRefuseRowsThatAreNotImages) {
  NetworkOptions options;
  options.kind = "conv";
  RandomGenerator init(Key(1));
  EXPECT_THROW(make_encoder(options, {7}, 6, init), Error);
  EXPECT_THROW(make_encoder(options, {1, 2, 2}, 6, init), Error);
  EXPECT_THROW(make_encoder(options, {8, 1, 16, 16}, 6, init), Error);  // video
  options.spatial = 3;
  EXPECT_THROW(make_encoder(options, {1, 16, 16}, 6, init), Error);
  EXPECT_THROW(make_encoder(options, {1, 2, 16, 16}, 6, init), Error);
}

// In double precision, against differences of the sum of a decoder's outputs of an encoder's.
TEST(Networks, GradientsOfConvolutionsOfVolumesAreThoseOfDifferences) {
  NetworkOptions options;
  options.kind = "conv";
  options.hidden = {6};
  options.channels = {2, 3};
  options.activation = "tanh";
  options.spatial = 3;
  RandomGenerator init(Key(1));
  const std::vector<int64_t> row{2, 5, 4, 7};
  const auto encoder = make_encoder(options, row, 3, init);
  const auto decoder = make_decoder(options, row, 3, 1, init);
  encoder->to(torch::kFloat64);
  decoder->to(torch::kFloat64);
  const torch::Tensor x = init.normal({2, 2, 5, 4, 7}).to(torch::kFloat64);
  const torch::Tensor weights = init.normal({2, 1, 2, 5, 4, 7}).to(torch::kFloat64);
  const auto loss = [&] { return (decoder->forward(encoder->forward(x)) * weights).sum(); };
  loss().backward();
  const torch::NoGradGuard no_grad;
  for (const auto& module : {std::static_pointer_cast<torch::nn::Module>(encoder),
                             std::static_pointer_cast<torch::nn::Module>(decoder)})
    for (const auto& parameter : module->named_parameters()) {
      constexpr double step = 1e-5;
      const torch::Tensor values = parameter.value().view(-1),
                          gradient = parameter.value().grad().reshape(-1);
      for (const int64_t i : {int64_t{0}, values.numel() / 2, values.numel() - 1}) {
        const double before = values[i].item<double>();
        values[i] = before + step;
        const double above = loss().item<double>();
        values[i] = before - step;
        const double below = loss().item<double>();
        values[i] = before;
        EXPECT_NEAR((above - below) / (2 * step), gradient[i].item<double>(), 1e-6) << parameter.key() << i;
      }
    }
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
  Convolution down(2, 3, 5, 4, 2, 1, noise);
  const torch::Tensor x = noise.normal({2, 3, 9, 8});
  EXPECT_TRUE(torch::allclose(
      down.forward(x),
      functional::conv2d(x, down.parameters()[0],
                         functional::Conv2dFuncOptions().bias(down.parameters()[1]).stride(2).padding(1)),
      1e-4, 1e-5));
  TransposedConvolution up(5, 1, 4, 2, 1, {1, 0}, noise);
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

TEST(Layers, ConvolutionsOfVolumesAreThoseOfLibTorch) {
  namespace functional = torch::nn::functional;
  RandomGenerator noise(Key(1));
  Convolution down(3, 3, 5, 4, 2, 1, noise);
  const torch::Tensor x = noise.normal({2, 3, 9, 8, 11});
  EXPECT_EQ(down.parameters()[0].sizes(), (std::vector<int64_t>{5, 3, 4, 4, 4}));
  EXPECT_LE(down.parameters()[0].abs().max().item<double>(), 1 / std::sqrt(3.0 * 64));
  EXPECT_TRUE(torch::allclose(
      down.forward(x),
      functional::conv3d(x, down.parameters()[0],
                         functional::Conv3dFuncOptions().bias(down.parameters()[1]).stride(2).padding(1)),
      1e-4, 1e-5));
  TransposedConvolution up(5, 1, 4, 2, 1, {1, 0, 1}, noise);
  const torch::Tensor y = noise.normal({2, 5, 4, 4, 5});
  const torch::Tensor restored = up.forward(y);
  EXPECT_EQ(restored.sizes(), (std::vector<int64_t>{2, 1, 9, 8, 11}));
  EXPECT_TRUE(torch::allclose(restored,
                              functional::conv_transpose3d(y, up.parameters()[0],
                                                           functional::ConvTranspose3dFuncOptions()
                                                               .bias(up.parameters()[1])
                                                               .stride(2)
                                                               .padding(1)
                                                               .output_padding({1, 0, 1})),
                              1e-4, 1e-5));
}

TEST(Layers, AConvolutionOfAVolumeOfDepthOneIsThatOfAnImage) {
  RandomGenerator noise(Key(1));
  Convolution volumes(3, 2, 5, 3, 1, 1, noise), images(2, 2, 5, 3, 1, 1, noise);
  const torch::NoGradGuard no_grad;
  images.parameters()[0].copy_(
      volumes.parameters()[0].select(2, 1));  // only the middle of the kernel sees it
  images.parameters()[1].copy_(volumes.parameters()[1]);
  const torch::Tensor x = noise.normal({3, 2, 7, 6});
  EXPECT_TRUE(torch::allclose(volumes.forward(x.unsqueeze(2)).squeeze(2), images.forward(x), 1e-4, 1e-5));
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
