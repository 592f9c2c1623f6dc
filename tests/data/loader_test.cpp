#include "elbo/data/loader.h"

#include <gmock/gmock.h>

#include <future>
#include <map>

#include "data_test.h"
#include "elbo/base/error.h"
#include "elbo/data/binarize.h"

namespace elbo {
namespace {

class LoaderTest : public DataTest {
 protected:
  // Row i is filled with i.
  std::string rows_file(int64_t rows) const {
    const torch::Tensor x =
        torch::arange(rows, torch::kFloat32).reshape({rows, 1}).expand({rows, 3}).contiguous();
    return make("rows.h5", {{"/train/x", x}}, "", 4);
  }
  static LoaderOptions loader_options() {
    return {.batch = 12,
            .microbatch = 4,
            .microbatches = {0, 3},
            .shuffle_buffer_bytes = 1 << 20,
            .seed = 5,
            .end_step = 10};
  }
  static std::vector<int64_t> ids_of(const Batch& batch) {
    const auto* data = batch.ids.const_data_ptr<int64_t>();
    return {data, data + batch.size()};
  }
};

TEST_F(LoaderTest, BatchesContinueAcrossEpochsAndEachEpochHasEveryRowOnce) {
  const Dataset dataset(options(rows_file(40)));
  Loader loader(dataset.split("train"), loader_options());
  std::vector<int64_t> stream;
  for (int64_t step = 0; step < 10; ++step)
    for (int64_t microbatch = 0; microbatch < 3; ++microbatch) {
      const Batch batch = loader.microbatch(step, microbatch);
      const std::vector<int64_t> ids = ids_of(batch);
      for (size_t i = 0; i < ids.size(); ++i) {
        EXPECT_EQ(batch.x[static_cast<int64_t>(i)][0].item<float>(), static_cast<float>(ids[i]));
        stream.push_back(ids[i]);
      }
    }
  ASSERT_EQ(stream.size(), 120U);
  for (size_t first = 0; first < stream.size(); first += 40) {
    std::vector<int64_t> epoch(stream.begin() + static_cast<int64_t>(first),
                               stream.begin() + static_cast<int64_t>(first) + 40);
    std::ranges::sort(epoch);
    for (int64_t i = 0; i < 40; ++i) EXPECT_EQ(epoch[static_cast<size_t>(i)], i);
  }
}

TEST_F(LoaderTest, MicrobatchesAreIndependentOfRanksWorkersAndTheFirstStep) {
  const Dataset dataset(options(rows_file(97)));
  std::map<std::pair<int64_t, int64_t>, std::vector<int64_t>> whole;
  Loader one(dataset.split("train"), loader_options());
  for (int64_t step = 0; step < 10; ++step)
    for (int64_t microbatch = 0; microbatch < 3; ++microbatch)
      whole[{step, microbatch}] = ids_of(one.microbatch(step, microbatch));
  for (int64_t rank = 0; rank < 2; ++rank)
    for (const int workers : {1, 2, 3}) {
      LoaderOptions part = loader_options();
      part.microbatches = partition({0, 3}, rank, 2);
      part.workers = workers;
      part.prefetch = 1;
      part.first_step = 4;
      Loader loader(dataset.split("train"), part);
      for (int64_t step = 4; step < 10; ++step)
        for (int64_t microbatch = part.microbatches.first; microbatch < part.microbatches.end; ++microbatch) {
          // Workers may request microbatches in any order: here in reverse.
          const int64_t requested = part.workers > 1
                                        ? part.microbatches.first + part.microbatches.end - 1 - microbatch
                                        : microbatch;
          EXPECT_EQ(ids_of(loader.microbatch(step, requested)), (whole[{step, requested}]));
        }
    }
}

TEST_F(LoaderTest, ARankWithoutMicrobatchesReadsNothing) {
  const Dataset dataset(options(rows_file(40)));
  LoaderOptions none = loader_options();
  none.microbatches = {1, 1};
  const Loader loader(dataset.split("train"), none);
  EXPECT_EQ(loader.waited_seconds(), 0);
}

TEST_F(LoaderTest, ALoaderStopsBeforeItsLastStep) {
  const Dataset dataset(options(rows_file(40)));
  LoaderOptions endless = loader_options();
  endless.end_step = int64_t{1} << 40;
  Loader loader(dataset.split("train"), endless);
  EXPECT_EQ(loader.microbatch(0, 0).size(), 4);
}

TEST_F(LoaderTest, ASmallSplitIsValidatedBeforeTheFirstStep) {
  torch::Tensor x = torch::zeros({40, 3});
  x[39][0] = std::numeric_limits<float>::quiet_NaN();
  const Dataset dataset(options(make("nan.h5", {{"/train/x", x}})));
  EXPECT_THROW(Loader(dataset.split("train"), loader_options()), Error);
}

TEST_F(LoaderTest, BinarisationSamplesTheProbabilitiesStaticallyOrDynamically) {
  const torch::Tensor x = torch::full({50, 400}, 0.3F);
  const Dataset dataset(options(make("p.h5", {{"/train/x", x}})));
  const auto sample = [&](const std::string& binarize, int64_t step) {
    LoaderOptions all{.batch = 50,
                      .microbatch = 50,
                      .microbatches = {0, 1},
                      .binarize = binarize,
                      .shuffle_buffer_bytes = 1 << 20,
                      .seed = 5,
                      .first_step = step,
                      .end_step = step + 1};
    const Batch batch = Loader(dataset.split("train"), all).microbatch(step, 0);
    return batch.x.index_select(0, batch.ids.argsort());  // in the order of the file
  };
  EXPECT_NEAR(sample("dynamic", 0).mean().item<double>(), 0.3, 0.015);  // 4.6 standard deviations
  EXPECT_TRUE(torch::equal(sample("static", 0), sample("static", 1)));
  EXPECT_FALSE(torch::equal(sample("dynamic", 0), sample("dynamic", 1)));
  const auto fixed = [&](const std::string& split) {
    return read_rows(dataset.split("train"), 0, 50, "static", binarize_key(5, split)).x;
  };
  EXPECT_TRUE(torch::equal(fixed("train"), sample("static", 0)));
  EXPECT_FALSE(torch::equal(fixed("test"), fixed("train"))) << "each split has its own samples";
  EXPECT_FALSE(torch::equal(fixed("test"), fixed("validation")));
}

TEST(Binarize, ZeroAndOneAreUnchanged) {
  std::vector<float> values{0, 1, 0, 1};
  binarize_row(values.data(), 4, Key(1));
  EXPECT_EQ(values, (std::vector<float>{0, 1, 0, 1}));
}

// Rows whose reading hangs until they are released.
class HangingRows final : public RowSource {
 public:
  int64_t rows() const override { return 100; }
  int64_t rows_per_chunk() const override { return 10; }
  int64_t bytes_per_row() const override { return 1 << 20; }
  Batch read(const std::vector<int64_t>&) const override {
    begun_.set_value();
    released_.wait();
    fail("released");
  }
  void read_all() const override {}
  std::string access_method() const override { return ""; }
  void wait_for_reader() { begun_.get_future().wait(); }
  void release() { release_.set_value(); }

 private:
  mutable std::promise<void> begun_;
  std::promise<void> release_;
  std::shared_future<void> released_ = release_.get_future().share();
};

TEST(Loader, WaitsForDataForALimitedTime) {
  HangingRows rows;
  Loader loader(rows, {.batch = 4,
                       .microbatch = 4,
                       .microbatches = {0, 1},
                       .shuffle_buffer_bytes = 1 << 20,
                       .end_step = 1,
                       .timeout = 0.1});
  try {
    loader.microbatch(0, 0);
    ADD_FAILURE() << "there are no data";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("waited 0.1 s for the data of step 1"));
  }
  rows.release();
}

TEST(Loader, EndsTheProcessWhereReadingHangsForGood) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        HangingRows rows;
        Loader loader(rows, {.batch = 4,
                             .microbatch = 4,
                             .microbatches = {0, 1},
                             .shuffle_buffer_bytes = 1 << 20,
                             .end_step = 1,
                             .timeout = 0.1});
        rows.wait_for_reader();
      },
      testing::ExitedWithCode(69), "error: .*reading the data hangs");
}

}  // namespace
}  // namespace elbo
