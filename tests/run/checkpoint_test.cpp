#include "elbo/run/checkpoint.h"

#include <gmock/gmock.h>
#include <torch/types.h>

#include <cmath>
#include <fstream>

#include "elbo/base/error.h"
#include "elbo/parallel/flat_parameters.h"
#include "elbo/run/checkpoint_file.h"
#include "elbo/run/checkpoint_seal.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "elbo_checkpoint_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    fs::create_directories(folder_ / "checkpoints");
  }
  void TearDown() override { fs::remove_all(folder_); }

  static Checkpoint example(int64_t step) {
    Checkpoint checkpoint;
    checkpoint.step = step;
    checkpoint.config = "[train]\nsteps = 3\n";
    checkpoint.dataset_fingerprint = std::string(64, 'd');
    checkpoint.data = {.x = {1, 2, 3},
                       .kind = "image",
                       .integer_x = true,
                       .bytes_x = true,
                       .classes = 4,
                       .label_features = 0,
                       .rows = 50,
                       .tokens = 6};
    checkpoint.first_loss = 7.5;
    checkpoint.best_loss = 1.25;
    checkpoint.best_step = 2;
    checkpoint.parameters = {
        {"b.weight", torch::rand({3, 4})}, {"a.bias", torch::rand({4})}, {"scalar", torch::rand({1})}};
    checkpoint.fingerprint = fingerprint(checkpoint.parameters);
    checkpoint.buffers = {{"count", torch::tensor({7})}};
    checkpoint.optimizer = {{"model/exp_avg/b.weight", torch::rand({3, 4})}};
    return checkpoint;
  }
  static void expect_equal(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].first, b[i].first);
      EXPECT_TRUE(torch::equal(a[i].second, b[i].second));
    }
  }
  fs::path folder_;
};

TEST_F(CheckpointTest, ComesBackAsItWasInOrderOfRegistration) {
  const Checkpoint written = example(5);
  const fs::path path = checkpoint_path(folder_, 5);
  EXPECT_EQ(path.filename(), "step_000000005.h5");
  write_checkpoint(path, written);
  const Checkpoint read = read_checkpoint(path);
  EXPECT_EQ(read.step, 5);
  EXPECT_EQ(read.config, written.config);
  EXPECT_EQ(read.first_loss, 7.5);
  EXPECT_EQ(read.best_loss, 1.25);
  EXPECT_EQ(read.data.x, written.data.x);
  EXPECT_EQ(read.data.kind, "image");
  EXPECT_EQ(read.data.rows, 50);
  EXPECT_EQ(read.data.tokens, 6);
  EXPECT_TRUE(read.data.integer_x);
  EXPECT_TRUE(read.data.bytes_x);
  EXPECT_EQ(read.data.classes, 4);
  EXPECT_FALSE(read.evaluation_pending);
  expect_equal(read.parameters, written.parameters);
  expect_equal(read.buffers, written.buffers);
  expect_equal(read.optimizer, written.optimizer);
  EXPECT_TRUE(is_checkpoint(path));
}

TEST_F(CheckpointTest, IsTheSameFileWhateverTheOptimizerStatesArePiecesOf) {
  Checkpoint written = example(5);
  written.optimizer = {
      {"model/a", torch::rand({5, 2})}, {"model/none", torch::rand({0, 3})}, {"model/b", torch::rand({})}};
  write_checkpoint(folder_ / "whole", written);
  CheckpointFile file(folder_ / "pieces", written,
                      {{"model/a", {5, 2}}, {"model/none", {0, 3}}, {"model/b", {}}});
  EXPECT_THROW(file.write({2, 0, written.optimizer[2].second}), Error);
  for (const int64_t first : {0, 2, 4})
    file.write({0, first, written.optimizer[0].second.slice(0, first, first + 2)});
  EXPECT_THROW(file.commit(), Error);
  file.write({2, 0, written.optimizer[2].second});
  EXPECT_FALSE(fs::exists(folder_ / "pieces"));
  file.commit();
  EXPECT_EQ(read_file(folder_ / "pieces"), read_file(folder_ / "whole"));
}

TEST_F(CheckpointTest, EveryFlippedBitIsFound) {
  const fs::path path = checkpoint_path(folder_, 5);
  write_checkpoint(path, example(5));
  std::string content;
  {
    std::ifstream file(path, std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(file), {});
  }
  for (size_t place = 0; place < content.size(); place += 97) {
    if (place > 90 && place < 512) continue;  // the seal's block is empty after its text
    std::string damaged = content;
    damaged[place] = static_cast<char>(damaged[place] ^ 4);
    std::ofstream(path, std::ios::binary) << damaged;
    EXPECT_THROW(read_checkpoint(path), Error) << "byte " << place;
  }
  std::ofstream(path, std::ios::binary) << content.substr(0, content.size() / 2);
  EXPECT_THROW(read_checkpoint(path), Error);
}

TEST_F(CheckpointTest, ParametersWithoutTheRecordedFingerprintAreDamage) {
  Checkpoint other = example(5);
  other.parameters[1].second = other.parameters[1].second + 1;
  const fs::path path = checkpoint_path(folder_, 5);
  write_checkpoint(path, other);  // every checksum is right
  try {
    read_checkpoint(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("do not match the fingerprint"));
  }
}

TEST_F(CheckpointTest, NumbersThatTrainingCannotGoOnWithAreDamage) {
  const fs::path path = checkpoint_path(folder_, 1);
  Checkpoint odd = example(1);
  for (const double factor : {-1.0, 0.0, std::nan("")}) {
    odd.lr_factor = factor;
    write_checkpoint(path, odd);
    EXPECT_THROW(read_checkpoint(path), Error) << factor;
  }
  odd.lr_factor = 0.5;
  for (const std::vector<int64_t>& row : {std::vector<int64_t>{}, std::vector<int64_t>{3, 0}}) {
    odd.data.x = row;
    write_checkpoint(path, odd);
    EXPECT_THROW(read_checkpoint(path), Error);
  }
}

TEST_F(CheckpointTest, ACopyUnderTheNameOfAnotherStepIsRefused) {
  write_checkpoint(checkpoint_path(folder_, 5), example(5));
  fs::copy_file(checkpoint_path(folder_, 5), checkpoint_path(folder_, 999));
  EXPECT_THROW(read_checkpoint(checkpoint_path(folder_, 999)), Error);
  EXPECT_EQ(newest_valid_checkpoint(folder_)->step, 5);
  fs::copy_file(checkpoint_path(folder_, 5), folder_ / "kept.h5");
  EXPECT_EQ(read_checkpoint(folder_ / "kept.h5").step, 5);
}

TEST_F(CheckpointTest, TheNewestValidOneIsFoundPastDamagedOnes) {
  for (const int64_t step : {5, 10, 15}) write_checkpoint(checkpoint_path(folder_, step), example(step));
  std::ofstream(checkpoint_path(folder_, 15), std::ios::app) << "more";
  std::ofstream(folder_ / "checkpoints" / "step_000000020.h5.partial-1") << "half";
  EXPECT_EQ(checkpoint_steps(folder_), (std::vector<int64_t>{5, 10, 15}));
  EXPECT_EQ(newest_valid_checkpoint(folder_)->step, 10);
  EXPECT_FALSE(newest_valid_checkpoint(folder_ / "none"));
}

TEST_F(CheckpointTest, AnythingElseIsRefusedAsNoCheckpoint) {
  const fs::path path = folder_ / "text.h5";
  std::ofstream(path) << "no checkpoint";
  try {
    read_checkpoint(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("is not a checkpoint"));
  }
}

}  // namespace
}  // namespace elbo
