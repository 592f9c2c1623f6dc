#include "elbo/data/profile.h"

#include <gmock/gmock.h>

#include <limits>

#include "data_test.h"

namespace elbo {
namespace {

using testing::HasSubstr;

class ProfileTest : public DataTest {
 protected:
  std::string repack(const std::string& file, const std::string& access_method = "directly") const {
    return repack_line(file, "/train/x",
                       hdf5::describe(hdf5::open_dataset(hdf5::open_file(file), "/train/x")), access_method);
  }
};

TEST_F(ProfileTest, SummarisesTheValues) {
  torch::Tensor x = torch::arange(3000, torch::kFloat32).reshape({1000, 3});
  x[17][1] = std::numeric_limits<float>::quiet_NaN();
  x[999][2] = std::numeric_limits<float>::infinity();
  const std::string path = make("a.h5", {{"/train/x", x}});
  const std::optional<ValueProfile> profile = profile_values(DataFile(path), "/train/x");
  ASSERT_TRUE(profile);
  EXPECT_EQ(profile->rows, 1000);  // all of them, because they are few
  EXPECT_EQ(profile->not_finite, 1);
  ASSERT_EQ(profile->missing.size(), 3U);
  EXPECT_EQ(profile->missing[1].values, 1000);
  EXPECT_EQ(profile->missing[1].missing, 1);
  EXPECT_EQ(profile->missing[2].missing, 0);
  EXPECT_EQ(profile->lowest, 0);
  EXPECT_EQ(profile->highest, 2998);
  EXPECT_NEAR(profile->mean, (2999.0 * 3000 / 2 - 52 - 2999) / 2998, 1e-9);
}

TEST_F(ProfileTest, AFullShuffleHasNoCostAndWindowsCorrelateRows) {
  const torch::Tensor x = torch::zeros({16384, 256});  // 16 MiB, chunks of 256 KiB
  DataOptions small = options(make("b.h5", {{"/train/x", x}}, "", 256));
  small.shuffle_buffer_bytes = 1 << 20;
  const Dataset dataset(small);
  const RowSource& rows = dataset.split("train");
  ASSERT_EQ(rows.rows_per_chunk(), 256);
  const std::optional<ShuffleProfile> whole = profile_shuffle(rows, 32 << 20, 128),
                                      windows = profile_shuffle(rows, 1 << 20, 128);
  EXPECT_DOUBLE_EQ(whole->bytes_read, 1);
  EXPECT_NEAR(whole->same_chunk, 1, 0.1);
  EXPECT_DOUBLE_EQ(windows->bytes_read, 1);
  EXPECT_NEAR(windows->same_chunk, 16, 0.5);  // a window is a sixteenth of the rows
}

TEST_F(ProfileTest, OnlyASlowLayoutGetsARepackCommand) {
  const torch::Tensor x = torch::zeros({4096, 256});
  EXPECT_EQ(repack(make("whole.h5", {{"/train/x", x}})), "");
  EXPECT_EQ(repack(make("good.h5", {{"/train/x", x}}, "", 256)), "");
  const std::string small = make("small.h5", {{"/train/x", x}}, "", 2);
  EXPECT_EQ(repack(small), "h5repack -l /train/x:CHUNK=512x256 " + small + " " + path("small_repacked.h5"));
  EXPECT_THAT(repack(path("good.h5"), "through the HDF5 library, because …"), HasSubstr("GZIP"));
}

}  // namespace
}  // namespace elbo
