#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <map>
#include <numbers>

#include "elbo/models/registry.h"
#include "elbo/objectives/bounds.h"
#include "oracles.h"
#include "small_models.h"

namespace elbo {
namespace {

torch::Tensor weights_of(Model& model, const Batch& batch, int64_t k, RandomGenerator& noise) {
  return model.log_weights(batch, k, noise).value_or(torch::Tensor());
}

torch::Tensor continue_from(Model& model, const Batch& batch, const Continuation& continuation,
                            RandomGenerator& noise) {
  return model.continue_from(batch, continuation, noise).value_or(torch::Tensor());
}

// The linear-Gaussian model z_t = A z_t-1 + N(0, Q), x_t = C z_t + N(0, R), z_0 = 0, in two dimensions. With
// chosen weights a VRNN is this model: its state is tanh(εz), which is εz for a small ε; its encoder is p(z_t
// | z_t-1, x_t); and relu(v) - relu(-v) = v makes the activations linear.
class LinearGaussian : public testing::TestWithParam<std::string> {
 protected:
  static constexpr int64_t d = 2, hidden = 2 * d, time = 6;
  static constexpr double q = 0.36, r = 0.25, epsilon = 1e-3;

  void SetUp() override {
    ModelContext context;
    context.data = {.x = {time, d}, .kind = "sequence"};
    context.network.hidden = {};
    RandomGenerator init(Key(1));
    model = with_options("vrnn", {{"model.latent", "2"},
                                  {"model.hidden", "4"},
                                  {"model.cell", GetParam()},
                                  {"model.likelihood", "gaussian"},
                                  {"model.likelihood_scale", "0.5"}})
                ->build(context, init);
    for (const auto& parameter : model->named_parameters()) {
      weights[parameter.key()] = parameter.value();
      parameter.value().zero_();
    }
    // [I, -I] takes v to (v, -v), whose relu is taken back by [I, -I]ᵀ.
    const torch::Tensor eye = torch::eye(d), split = torch::cat({eye, -eye}), joined = split.t();
    weights["see_x.dense0.weight"].copy_(split);
    weights["see_z.dense0.weight"].copy_(split);
    weights["elements.output.weight"].copy_(emission.matmul(joined));
    weights["decoder.dense0.weight"].narrow(1, 0, hidden).copy_(split.matmul(joined));
    const torch::Tensor of_state = dynamics / epsilon;  // A z_t-1 out of the state's first two numbers
    weights["prior.dense0.weight"].narrow(0, 0, d).narrow(1, 0, d).copy_(of_state);
    weights["prior.dense0.bias"].narrow(0, d, d).fill_(std::log(q));
    // p(z_t | z_t-1, x_t) has the precision 1/Q + CᵀC/R, which the orthogonal columns of C make diagonal.
    variance = 1 / (1 / q + emission.square().sum(0) / r);
    torch::Tensor encoder = weights["encoder.dense0.weight"].narrow(0, 0, d);
    encoder.narrow(1, 0, hidden).copy_((emission * variance / r).t().matmul(joined));
    encoder.narrow(1, hidden, d).copy_((variance / q).unsqueeze(1) * of_state);
    weights["encoder.dense0.bias"].narrow(0, d, d).copy_(variance.log());
    set_cell(epsilon * joined);

    RandomGenerator noise(Key(2));
    torch::Tensor z = torch::zeros({count, d});
    std::vector<torch::Tensor> x;
    for (int64_t step = 0; step < time; ++step) {
      z = z.matmul(dynamics.t()) + std::sqrt(q) * noise.normal({count, d});
      x.push_back(z.matmul(emission.t()) + std::sqrt(r) * noise.normal({count, d}));
    }
    data = {torch::stack(x, 1), {}, torch::arange(count)};
  }

  // Gates that forget the state and pass the candidate, `of_z` (d, hidden) times the embedding of z.
  void set_cell(const torch::Tensor& of_z) {
    constexpr double open = 40;
    torch::Tensor weight = weights["cell.weight_ih"], bias = weights["cell.bias_ih"];
    weight.narrow(0, 2 * hidden, d).narrow(1, hidden, hidden).copy_(of_z);
    bias.narrow(0, hidden, hidden).fill_(-open);  // the GRU's update gate, the LSTM's forget gate
    if (GetParam() == "lstm")
      bias.narrow(0, 0, hidden).fill_(open), bias.narrow(0, 3 * hidden, hidden).fill_(open);
  }

  // log p(x) of the first `steps` elements, by the Kalman filter, in double.
  torch::Tensor kalman(int64_t steps) const {
    const torch::Tensor a = dynamics.to(torch::kFloat64), c = emission.to(torch::kFloat64),
                        x = data.x.to(torch::kFloat64);
    const torch::Tensor eye = torch::eye(d, torch::kFloat64);
    torch::Tensor mean = torch::zeros({count, d}, torch::kFloat64), covariance = torch::zeros_like(eye);
    torch::Tensor log_prob = torch::zeros({count}, torch::kFloat64);
    for (int64_t step = 0; step < steps; ++step) {
      mean = mean.matmul(a.t());
      covariance = a.matmul(covariance).matmul(a.t()) + q * eye;
      const torch::Tensor of_x = c.matmul(covariance).matmul(c.t()) + r * eye, inverse = of_x.inverse();
      const torch::Tensor error = x.select(1, step) - mean.matmul(c.t());
      log_prob -=
          0.5 * ((error.matmul(inverse) * error).sum(1) + of_x.logdet() + d * std::log(2 * std::numbers::pi));
      const torch::Tensor gain = covariance.matmul(c.t()).matmul(inverse);
      mean = mean + error.matmul(gain.t());
      covariance = (eye - gain.matmul(c)).matmul(covariance);
    }
    return log_prob;
  }

  double bound(int64_t k, int64_t rounds) {
    RandomGenerator noise(Key(3));
    double sum = 0;
    for (int64_t i = 0; i < rounds; ++i)
      sum += importance_weighted_bound(weights_of(*model, data, k, noise)).mean().item<double>();
    return sum / static_cast<double>(rounds);
  }

  const torch::NoGradGuard no_grad;
  const int64_t count = 5;
  const torch::Tensor dynamics = torch::tensor({{0.8F, -0.4F}, {0.4F, 0.8F}});
  const torch::Tensor emission = torch::tensor({{1.0F, 0.5F}, {-0.5F, 1.0F}});
  std::shared_ptr<Model> model;
  std::map<std::string, torch::Tensor> weights;
  torch::Tensor variance;
  Batch data;
};

TEST_P(LinearGaussian, TheBoundRisesToKalmansLikelihoodFromBelow) {
  const double exact = kalman(time).mean().item<double>();
  const double one = bound(1, 100), ten = bound(10, 20), many = bound(1000, 1);
  EXPECT_LT(one, ten);
  EXPECT_LT(ten, many);
  EXPECT_LT(ten, exact);
  EXPECT_NEAR(many, exact, 0.03);
}

TEST_P(LinearGaussian, TheElboIsTheMeanLogWeightAndBelowTheLikelihood) {
  const double exact = kalman(time).mean().item<double>();
  data.x = data.x.repeat({4000, 1, 1});
  data.ids = torch::arange(4000 * count);
  RandomGenerator noise(Key(4));
  const double elbo = -model->evaluate(data, noise).loss.mean().item<double>();
  EXPECT_NEAR(elbo, bound(1, 1), 0.1);
  EXPECT_LT(elbo, exact);
}

TEST_P(LinearGaussian, WithTheLengthOneEveryWeightIsTheLikelihood) {
  data.length = torch::ones({count}, torch::kInt64);
  RandomGenerator noise(Key(3));
  const torch::Tensor log_weights = weights_of(*model, data, 4, noise);
  for (int64_t draw = 0; draw < 4; ++draw)
    EXPECT_TRUE(torch::allclose(log_weights[draw].to(torch::kFloat64), kalman(1), 0, 1e-4));
}

// Given x_1 … x_g, the next elements have the mean and variance that the filter predicts, except that z_1 …
// z_g are sampled from the encoder, p(z_t | z_t-1, x_t): with g = 1 this is the exact posterior.
TEST_P(LinearGaussian, ContinuationsHaveTheMomentsThatTheFilterPredicts) {
  constexpr int64_t n = 20000;
  Batch same{data.x.narrow(0, 0, 1).expand({n, time, d}), {}, torch::arange(n)};
  RandomGenerator noise(Key(5));
  const Continuation drawn_elements{.prefix_length = 1,
                                    .elements = {.how = Elements::drawn, .noise = &noise}};
  const torch::Tensor x = continue_from(*model, same, drawn_elements, noise);
  ASSERT_TRUE(x.defined());
  EXPECT_TRUE(torch::equal(x.select(1, 0), same.x.select(1, 0)));
  const torch::Tensor filtered = (variance / r * data.x[0][0].matmul(emission)).unsqueeze(0);
  const torch::Tensor mean = filtered.matmul(dynamics.t()).matmul(emission.t()).squeeze(0);
  const torch::Tensor z = dynamics.matmul(torch::diag(variance)).matmul(dynamics.t()) + q * torch::eye(d);
  const torch::Tensor covariance = emission.matmul(z).matmul(emission.t()) + r * torch::eye(d);
  const torch::Tensor drawn = x.select(1, 1);
  EXPECT_TRUE(torch::allclose(drawn.mean(0), mean, 0, 0.03));
  EXPECT_TRUE(torch::allclose(drawn.t().cov(), covariance, 0, 0.04));
}

INSTANTIATE_TEST_SUITE_P(Cells, LinearGaussian, testing::Values("gru", "lstm"),
                         [](const auto& tested) { return tested.param; });

TEST(Vrnn, PaddingChangesNothing) {
  const torch::NoGradGuard no_grad;
  for (const char* data : {"tokens", "sequence"}) {
    const auto tested = small_model("vrnn", data);
    const auto [batch, other] = rows_that_differ_beyond_their_length(data);
    RandomGenerator one(Key(2)), two(Key(2)), three(Key(3)), four(Key(3));
    EXPECT_TRUE(torch::equal(tested->evaluate(batch, one).loss, tested->evaluate(other, two).loss)) << data;
    EXPECT_TRUE(torch::equal(weights_of(*tested, batch, 2, three), weights_of(*tested, other, 2, four)));
    const Latent code = tested->encode(batch), same = tested->encode(other);
    EXPECT_TRUE(torch::equal(code.z, same.z)) << data;
    EXPECT_EQ(code.z[1].nonzero().size(0), (data == std::string("tokens") ? 2 : 3) * 16);
  }
}

TEST(EverySequenceModel, ContinuesAPrefixAndSamplesByTheSeed) {
  const torch::NoGradGuard no_grad;
  for (const char* name : {"vrnn", "sequence_vae"})
    for (const char* data : {"tokens", "sequence", "video"})
      for (const bool drawn : {false, true}) {
        const auto tested = small_model(name, data);
        const auto how = [&](RandomGenerator& noise) {
          return Continuation{.prefix_length = 2,
                              .elements = {.how = drawn ? Elements::drawn : Elements::mean, .noise = &noise}};
        };
        Batch batch = rows(data, 7);
        if (batch.length.defined()) {  // no <eos> in the prefix
          batch.length.fill_(8);
          batch.x.narrow(1, 1, 6).fill_(5);
        }
        RandomGenerator one(Key(2)), two(Key(2)), three(Key(3));
        const torch::Tensor x = continue_from(*tested, batch, how(one), one);
        ASSERT_EQ(x.sizes(), batch.x.sizes()) << name << data;
        EXPECT_TRUE(torch::equal(x.narrow(1, 0, 2), batch.x.narrow(1, 0, 2))) << name << data;
        EXPECT_TRUE(torch::equal(x, continue_from(*tested, batch, how(two), two)));
        if (drawn) {
          EXPECT_FALSE(torch::equal(x, continue_from(*tested, batch, how(three), three))) << name << data;
        }
      }
}

TEST(EverySequenceModel, ContinuesFromTheFirstElementAndFromAllButTheLast) {
  const torch::NoGradGuard no_grad;
  for (const char* name : {"vrnn", "sequence_vae"})
    for (const char* data : {"tokens", "sequence"})
      for (const int64_t given : {1, 7}) {
        const auto tested = small_model(name, data);
        Batch batch = rows(data, 3);
        if (batch.length.defined()) {
          batch.length.fill_(8);
          batch.x.narrow(1, 1, 6).fill_(5);
        }
        RandomGenerator noise(Key(2));
        const torch::Tensor x = continue_from(*tested, batch, {.prefix_length = given}, noise);
        ASSERT_EQ(x.sizes(), batch.x.sizes()) << name << data << given;
        EXPECT_TRUE(torch::equal(x.narrow(1, 0, given), batch.x.narrow(1, 0, given)))
            << name << data << given;
      }
}

// The loss of the first row, and its gradient.
std::vector<torch::Tensor> first_rows_loss(Model& model, const Batch& batch) {
  RandomGenerator noise(Key(2));
  model.zero_grad();
  const torch::Tensor loss = model.objective({}, batch, noise).loss[0];
  loss.backward();
  std::vector<torch::Tensor> all{loss.detach()};
  for (const torch::Tensor& parameter : model.parameters())
    all.push_back(parameter.grad().defined() ? parameter.grad().clone() : torch::zeros(1));
  const torch::NoGradGuard no_grad;
  all.push_back(model.encode(batch).z[0]);
  return all;
}

// In one microbatch another row is as long as the data set's longest, in the other none is. Both have the
// same number of elements, as tokens are predicted only where there is no padding.
TEST(EverySequenceModel, GivesARowTheSameBitsWhereItsMicrobatchIsTrimmed) {
  const std::vector<std::pair<std::string, std::vector<Setting>>> models{
      {"sequence_vae", {}},
      {"sequence_vae", {{"model.decoder", "causal_conv"}}},
      {"sequence_vae", {{"model.word_dropout", "0.5"}}},
      {"vrnn", {}},
      {"vrnn", {{"model.cell", "lstm"}}}};
  for (const auto& [name, settings] : models)
    for (const char* data : {"tokens", "sequence"}) {
      const auto tested = small_model(name, data, settings);
      Batch whole = rows(data, 3), trimmed = whole;
      whole.length = torch::tensor({3, 8, 2});
      trimmed.length = torch::tensor({3, 5, 5});
      const std::vector<torch::Tensor> expected = first_rows_loss(*tested, whole),
                                       found = first_rows_loss(*tested, trimmed);
      ASSERT_EQ(expected.size(), found.size());
      for (size_t i = 0; i < expected.size(); ++i)
        EXPECT_TRUE(torch::equal(expected[i], found[i])) << name << " " << data << " " << i;
    }
}

// Without noise in the elements, the continuation does not depend on the elements that it replaces.
TEST(EverySequenceModel, DoesNotSeeElementsAfterThePrefix) {
  const torch::NoGradGuard no_grad;
  for (const char* name : {"vrnn", "sequence_vae"}) {
    const auto tested = small_model(name, "sequence");
    const Batch batch = rows("sequence", 3);
    Batch other = batch;
    other.x = batch.x.clone();
    other.x.narrow(1, 5, 3).fill_(9);
    RandomGenerator one(Key(2)), two(Key(2));
    EXPECT_TRUE(torch::equal(continue_from(*tested, batch, {.prefix_length = 5}, one),
                             continue_from(*tested, other, {.prefix_length = 5}, two)));
  }
}

}  // namespace
}  // namespace elbo
