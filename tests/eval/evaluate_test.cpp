#include "elbo/eval/evaluate.h"

#include <gtest/gtest.h>
#include <png.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <numbers>

#include "elbo/comm/self.h"
#include "elbo/eval/images.h"
#include "elbo/models/registry.h"
#include "elbo/objectives/bounds.h"

namespace elbo {
namespace {

// A prime number of images that need no file.
class Images final : public RowSource {
 public:
  explicit Images(torch::Tensor x = RandomGenerator(Key(1)).uniform({97, 1, 4, 4})) : x_(std::move(x)) {}
  int64_t rows() const override { return 97; }
  int64_t rows_per_chunk() const override { return 10; }
  int64_t bytes_per_row() const override { return 64; }
  Batch read(const std::vector<int64_t>& ids) const override {
    const torch::Tensor index = torch::tensor(ids);
    return {x_.index_select(0, index), {}, index};
  }
  void read_all() const override {}
  std::string access_method() const override { return "from memory"; }
  const torch::Tensor& x() const { return x_; }
  Batch all() const { return {x_, {}, torch::arange(97)}; }

 private:
  torch::Tensor x_;
};

std::shared_ptr<Model> make_model(const std::vector<Setting>& settings = {},
                                  const std::string& name = "vae") {
  ModelContext context;
  context.data = {.x = {1, 4, 4}, .kind = "image", .in_unit_interval = true};
  context.network.kind = "mlp";
  context.network.hidden = {8};
  RandomGenerator init(Key(1));
  const std::unique_ptr<ModelSpec> spec = find_model(name);
  OptionTable table;
  spec->bind(table);
  for (const Setting& setting : settings) table.set(setting, "--");
  return spec->build(context, init);
}

Evaluation run(int threads, const EvaluationOptions& options) {
  const auto world = make_self_communicator();
  Workers workers(threads);
  std::vector<std::shared_ptr<Model>> models(static_cast<size_t>(threads));
  for (std::shared_ptr<Model>& model : models) model = make_model();
  return evaluate(*world, workers, models, Images(), options).value_or(Evaluation{});
}

TEST(Evaluate, IsTheMeanOverEveryRowOnce) {
  const Evaluation result = run(1, {.microbatch = 10, .pixels = true});
  const auto model = make_model();
  const torch::NoGradGuard no_grad;
  const Images images;
  const Batch all = images.all();
  const Latent code = model->encode(all);
  const torch::Tensor logvar = code.logvar.value_or(torch::Tensor());
  const torch::Tensor kl = 0.5 * (code.z.square() + logvar.exp() - 1 - logvar);
  EXPECT_EQ(result.rows, 97);
  ASSERT_EQ(result.terms.size(), 2U);
  EXPECT_EQ(result.terms[1].first, "kl");
  EXPECT_NEAR(result.terms[1].second, kl.sum(1).mean().item<double>(), 1e-4);
  for (int64_t i = 0; i < 20; ++i)
    EXPECT_NEAR(result.kl_per_dim[static_cast<size_t>(i)], kl.mean(0)[i].item<double>(), 1e-5);
  const torch::Tensor error = (model->decode(code.z, {}) - all.x).square().flatten(1).mean(1);
  EXPECT_NEAR(result.mse.value_or(-1), error.mean().item<double>(), 1e-6);
  EXPECT_NEAR(result.psnr.value_or(-1), (-10 * error.log10()).mean().item<double>(), 1e-4);
  EXPECT_EQ(result.active_units.value_or(-1), (code.z.var(0, false) > 0.01).sum().item<int64_t>());
  EXPECT_NEAR(result.loss, result.terms[0].second + result.terms[1].second, 1e-6);
  EXPECT_EQ(result.elbo.value_or(-1), -result.loss);
  EXPECT_FALSE(result.bits_per_dim) << "a Bernoulli has no probability for grey values";
  EXPECT_FALSE(result.iwae_bound);
}

// Rows (6, 2) of which 0 to 6 steps count.
class Sequences final : public RowSource {
 public:
  int64_t rows() const override { return 13; }
  int64_t rows_per_chunk() const override { return 13; }
  int64_t bytes_per_row() const override { return 48; }
  Batch read(const std::vector<int64_t>& ids) const override {
    const torch::Tensor index = torch::tensor(ids);
    return {x_.index_select(0, index), {}, index, index.remainder(7)};
  }
  void read_all() const override {}
  std::string access_method() const override { return "from memory"; }
  Batch all() const { return {x_, {}, torch::arange(13), torch::arange(13).remainder(7)}; }

 private:
  torch::Tensor x_ = (RandomGenerator(Key(1)).uniform({13, 6, 2}) * 255).round() / 255;
};

TEST(Evaluate, BitsAndPsnrAreThereOnlyWhereTheyMeanSomething) {
  const auto with = [](const std::string& likelihood, const torch::Tensor& x, bool pixels) {
    const auto world = make_self_communicator();
    Workers workers(1);
    return evaluate(*world, workers, {make_model({{"model.likelihood", likelihood}})}, Images(x),
                    {.microbatch = 50, .pixels = pixels})
        .value_or(Evaluation{});
  };
  const torch::Tensor real = Images().x(), binary = real.round(), bytes = (real * 255).round() / 255;
  const Evaluation of_bits = with("bernoulli", binary, true);
  EXPECT_NEAR(of_bits.bits_per_dim.value_or(-1), of_bits.loss / (16 * std::numbers::ln2), 1e-12);
  EXPECT_TRUE(with("bernoulli", binary, false).bits_per_dim) << "tables of zeros and ones, too";
  EXPECT_FALSE(with("bernoulli", bytes, true).bits_per_dim);
  EXPECT_TRUE(with("categorical", bytes, true).bits_per_dim);
  EXPECT_FALSE(with("categorical", real, true).bits_per_dim);
  const Evaluation density = with("gaussian", bytes, true);
  EXPECT_NEAR(density.bits_per_dim.value_or(-1), density.loss / (16 * std::numbers::ln2) + std::log2(255.0),
              1e-12);
  EXPECT_TRUE(with("gaussian", bytes.to(torch::kHalf).to(torch::kFloat32), true).bits_per_dim);
  EXPECT_FALSE(with("gaussian", real, true).bits_per_dim);
  EXPECT_FALSE(with("gaussian", bytes, false).bits_per_dim) << "a table has no bins of bytes";
  EXPECT_FALSE(with("multinomial", bytes, true).bits_per_dim);
  EXPECT_TRUE(density.psnr);
  EXPECT_FALSE(with("gaussian", bytes, false).psnr);
  EXPECT_FALSE(with("gaussian", 2 * bytes, true).psnr);
}

// With K samples the mean over them, so that the bound L_K is never below it.
TEST(Evaluate, TheElboIsTheMeanOverTheImportanceSamples) {
  const EvaluationOptions options{.microbatch = 97, .importance_samples = 40};
  const Evaluation result = run(1, options);
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(0).with("evaluate").with("test").with("importance").with(uint64_t{0}));
  const torch::Tensor weights = *make_model()->log_weights(Images().all(), 40, noise);
  EXPECT_NEAR(result.elbo.value_or(1), weights.mean(torch::kFloat64).item<double>(), 1e-4);
  EXPECT_NEAR(result.nll.value_or(-1), -importance_weighted_bound(weights).mean().item<double>(), 1e-4);
  EXPECT_GE(-result.nll.value_or(0), result.elbo.value_or(0));
}

TEST(Evaluate, TheElboOfIwaeIsNotItsBound) {
  const auto world = make_self_communicator();
  Workers workers(1);
  for (const char* name : {"iwae", "miwae"}) {
    const auto model = make_model({}, name);
    const Evaluation result = evaluate(*world, workers, {model}, Images(), {}).value_or(Evaluation{});
    EXPECT_EQ(result.iwae_bound.value_or(1), -result.loss);
    EXPECT_EQ(result.terms[0].first, "negative_elbo");
    EXPECT_EQ(result.elbo.value_or(1), -result.terms[0].second);
    EXPECT_GT(result.iwae_bound.value_or(-1e9), result.elbo.value_or(0));
  }
}

// A model whose posterior is what the test sets.
class Coded final : public Model {
 public:
  explicit Coded(Latent latent) : latent_(std::move(latent)) {
    register_parameter("unused", torch::zeros({1}));
  }
  LossTerms objective(const StepContext&, const Batch& batch, RandomGenerator& noise) override {
    return evaluate(batch, noise);
  }
  LossTerms evaluate(const Batch& batch, RandomGenerator&) override {
    return {torch::zeros({batch.size()}), {}};
  }
  std::optional<torch::Tensor> log_weights(const Batch&, int64_t, RandomGenerator&) override { return {}; }
  Latent encode(const Batch& batch) override {
    const auto of = [&](const std::optional<torch::Tensor>& all) -> std::optional<torch::Tensor> {
      return all ? std::optional(all->index_select(0, batch.ids)) : std::nullopt;
    };
    return {latent_.z.index_select(0, batch.ids), {}, {}, of(latent_.standardized), of(latent_.mask)};
  }
  torch::Tensor decode_as(const torch::Tensor&, const torch::Tensor&, const ElementChoice&) override {
    return {};
  }
  torch::Tensor prior_sample(int64_t, const torch::Tensor&, RandomGenerator&) override { return {}; }
  int64_t latent_size() const override { return latent_.z.size(1); }
  std::shared_ptr<const Likelihood> likelihood() const override { return nullptr; }

 private:
  Latent latent_;
};

TEST(Evaluate, ActiveUnitsFollowThePriorAndLeaveOutPadding) {
  const auto world = make_self_communicator();
  Workers workers(1);
  const auto active = [&](const Latent& latent) {
    const auto result =
        evaluate(*world, workers, {std::make_shared<Coded>(latent)}, Images(), {.microbatch = 20});
    return result.value_or(Evaluation{}).active_units.value_or(-1);
  };
  RandomGenerator noise(Key(3));
  const torch::Tensor spread = noise.normal({97, 3}), still = torch::full({97, 3}, 5.0);
  EXPECT_EQ(active({spread}), 3);
  EXPECT_EQ(active({still}), 0);
  Latent moved{spread};  // the posterior follows its prior
  moved.standardized = torch::zeros({97, 3});
  EXPECT_EQ(active(moved), 0);
  Latent padded{still.clone()};  // zeros after the end of half of the rows are not activity
  padded.mask = torch::ones({97, 3});
  padded.z.narrow(0, 0, 48).select(1, 2).zero_();
  padded.mask->narrow(0, 0, 48).select(1, 2).zero_();
  EXPECT_EQ(active(padded), 0);
  padded.mask.reset();
  EXPECT_EQ(active(padded), 1);
}

TEST(Evaluate, ErrorsAndBitsAreThoseOfTheStepsThatCount) {
  const torch::NoGradGuard no_grad;
  RandomGenerator init(Key(1));
  const std::shared_ptr<Model> model =
      find_model("sequence_vae")
          ->build({.data = {.x = {6, 2}, .kind = "sequence"}, .network = {}, .name = "sequence_vae"}, init);
  const auto world = make_self_communicator();
  Workers workers(1);
  const Sequences sequences;
  const Evaluation result =
      evaluate(*world, workers, {model}, sequences, {.microbatch = 5, .pixels = true}).value_or(Evaluation{});

  const Batch all = sequences.all();
  const torch::Tensor made = model->decode(model->encode(all).z, {});
  double error = 0, numbers = 0;
  int rows_with_elements = 0;
  for (int64_t row = 0; row < 13; ++row) {
    const auto length = all.length[row].item<int64_t>();
    if (length == 0) continue;
    error += (made[row] - all.x[row]).narrow(0, 0, length).square().mean().item<double>();
    ++rows_with_elements;
    numbers += static_cast<double>(2 * length) / 13;
  }
  EXPECT_NEAR(result.mse.value_or(0), error / rows_with_elements, 1e-6);
  EXPECT_NEAR(result.bits_per_dim.value_or(0), result.loss / (numbers * std::numbers::ln2) + std::log2(255.0),
              1e-6);
}

// Half of the elements, and all of the first row, are missing.
class MaskedImages final : public RowSource {
 public:
  int64_t rows() const override { return 20; }
  int64_t rows_per_chunk() const override { return 20; }
  int64_t bytes_per_row() const override { return 64; }
  Batch read(const std::vector<int64_t>& ids) const override {
    RandomGenerator noise(Key(7));
    const torch::Tensor index = torch::tensor(ids), x = noise.uniform({20, 1, 4, 4}).round();
    torch::Tensor observed = noise.uniform({20, 1, 4, 4}) < 0.5;
    observed[0].fill_(false);
    const Batch batch{x.index_select(0, index), {}, index, {}, observed.index_select(0, index)};
    return batch.with_x(batch.x);
  }
  void read_all() const override {}
  std::string access_method() const override { return "from memory"; }
};

TEST(Evaluate, ErrorsAndBitsAreThoseOfObservedElements) {
  const torch::NoGradGuard no_grad;
  ModelContext context;
  context.data = {.x = {1, 4, 4}, .kind = "image", .in_unit_interval = true, .masked = true};
  RandomGenerator init(Key(1));
  const std::shared_ptr<Model> model = find_model("vae")->build(context, init);
  const auto world = make_self_communicator();
  Workers workers(1);
  const Evaluation result =
      evaluate(*world, workers, {model}, MaskedImages(), {.microbatch = 6, .pixels = true})
          .value_or(Evaluation{});
  std::vector<int64_t> ids(20);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
  const Batch all = MaskedImages().read(ids);
  const torch::Tensor squares = (model->decode(model->encode(all).z, {}) - all.x).square() * all.observed;
  const torch::Tensor errors = squares.flatten(1).sum(1) / all.observed.flatten(1).sum(1);
  EXPECT_NEAR(result.mse.value_or(0), errors.slice(0, 1).mean().item<double>(), 1e-5);
  EXPECT_NEAR(result.psnr.value_or(0), (errors.slice(0, 1).log10() * -10).mean().item<double>(), 1e-3);
  const double observed_of_a_row = all.observed.sum().item<double>() / 20;
  EXPECT_NEAR(result.bits_per_dim.value_or(0), result.loss / (observed_of_a_row * std::numbers::ln2), 1e-5);
}

TEST(Evaluate, HasTheSameDigitsForEveryNumberOfThreads) {
  const EvaluationOptions options{.microbatch = 8, .importance_samples = 3, .binarize = "dynamic", .seed = 4};
  const Evaluation one = run(1, options);
  for (const int threads : {2, 3, 5}) {
    const Evaluation other = run(threads, options);
    EXPECT_EQ(one.loss, other.loss);
    EXPECT_EQ(one.nll, other.nll);
    EXPECT_EQ(one.kl_per_dim, other.kl_per_dim);
    EXPECT_EQ(one.mse, other.mse);
  }
}

TEST(Evaluate, GivesNothingWhereItIsInterruptedBetweenTwoMicrobatches) {
  const auto world = make_self_communicator();
  for (const int threads : {1, 3}) {
    Workers workers(threads);
    std::vector<std::shared_ptr<Model>> models(static_cast<size_t>(threads));
    for (std::shared_ptr<Model>& model : models) model = make_model();
    std::atomic<int> asked = 0;
    const auto result =
        evaluate(*world, workers, models, Images(), {.microbatch = 8}, [&] { return ++asked > 4; });
    EXPECT_FALSE(result.has_value());
    EXPECT_LE(asked.load(), 4 + threads);
  }
}

TEST(Evaluate, MoreImportanceSamplesTightenTheBound) {
  const double few = run(1, {.microbatch = 50, .importance_samples = 1}).nll.value_or(-1);
  const double many = run(1, {.microbatch = 50, .importance_samples = 500}).nll.value_or(-1);
  EXPECT_LT(many, few);
  EXPECT_NEAR(few, run(1, {.microbatch = 50}).loss, 0.5);  // K = 1 is the ELBO, by another draw
}

TEST(ImageGrid, HasItsImagesWhereTheyBelong) {
  const torch::Tensor images =
      torch::stack({torch::zeros({1, 3, 4}), torch::ones({1, 3, 4}), torch::full({1, 3, 4}, 0.2F)});
  const torch::Tensor grid = image_grid(images, 2);
  EXPECT_EQ(grid.sizes(), (std::vector<int64_t>{2 * 5 + 2, 2 * 6 + 2, 1}));
  EXPECT_EQ(grid[2][2][0].item<int>(), 0);
  EXPECT_EQ(grid[2][8][0].item<int>(), 255);
  EXPECT_EQ(grid[7][2][0].item<int>(), 51);
}

TEST(Png, HoldsThePixels) {
  const torch::Tensor pixels = (RandomGenerator(Key(1)).uniform({5, 7, 3}) * 255).to(torch::kUInt8);
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "elbo_images_test.png";
  write_png(path, pixels);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  ASSERT_NE(png_image_begin_read_from_file(&image, path.c_str()), 0);
  image.format = PNG_FORMAT_RGB;
  torch::Tensor back = torch::empty({image.height, image.width, 3}, torch::kUInt8);
  ASSERT_NE(png_image_finish_read(&image, nullptr, back.mutable_data_ptr<uint8_t>(), 0, nullptr), 0);
  EXPECT_TRUE(torch::equal(back, pixels));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace elbo
