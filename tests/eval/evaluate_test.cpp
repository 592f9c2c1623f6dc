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
  Images() : x_(RandomGenerator(Key(1)).uniform({97, 1, 4, 4})) {}
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

 private:
  torch::Tensor x_;
};

std::shared_ptr<Model> make_model() {
  ModelContext context;
  context.data = {.x = {1, 4, 4}, .kind = "image"};
  context.network.kind = "mlp";
  context.network.hidden = {8};
  RandomGenerator init(Key(1));
  return find_model("vae")->build(context, init);
}

Evaluation run(int threads, const EvaluationOptions& options) {
  const auto world = make_self_communicator();
  Workers workers(threads);
  std::vector<std::shared_ptr<Model>> models(static_cast<size_t>(threads));
  for (std::shared_ptr<Model>& model : models) model = make_model();
  return evaluate(*world, workers, models, Images(), options).value_or(Evaluation{});
}

TEST(Evaluate, IsTheMeanOverEveryRowOnce) {
  const Evaluation result = run(1, {.microbatch = 10});
  const auto model = make_model();
  const torch::NoGradGuard no_grad;
  const Images images;
  const Batch all = images.read([] {
    std::vector<int64_t> ids(97);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
    return ids;
  }());
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
  EXPECT_NEAR(result.bits_per_dim.value_or(-1), result.loss / (16 * std::numbers::ln2), 1e-12);
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
  torch::Tensor x_ = RandomGenerator(Key(1)).uniform({13, 6, 2});
};

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
      evaluate(*world, workers, {model}, sequences, {.microbatch = 5}).value_or(Evaluation{});

  const Batch all = sequences.all();
  const torch::Tensor made = model->decode(model->encode(all).z, {});
  double error = 0, numbers = 0;
  for (int64_t row = 0; row < 13; ++row) {
    const auto length = all.length[row].item<int64_t>();
    if (length == 0) continue;
    error += (made[row] - all.x[row]).narrow(0, 0, length).square().mean().item<double>() / 13;
    numbers += static_cast<double>(2 * length) / 13;
  }
  EXPECT_NEAR(result.mse.value_or(0), error, 1e-6);
  EXPECT_NEAR(result.bits_per_dim.value_or(0), result.loss / (numbers * std::numbers::ln2) + std::log2(255.0),
              1e-6);
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
