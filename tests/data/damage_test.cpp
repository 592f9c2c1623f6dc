// Truncated files and files with flipped bits: an error that names the file, or rows. Also run under
// sanitizers.
#include <gmock/gmock.h>

#include <fstream>
#include <random>

#include "data_test.h"
#include "elbo/base/file.h"

namespace elbo {
namespace {

struct Layout {
  std::string name;
  bool newest, checksums, deflate;
  hsize_t chunk_rows;  // 0: contiguous
};

class DamageTest : public DataTest {
 protected:
  static constexpr hsize_t rows = 60, features = 24;

  torch::Tensor write(const Layout& layout) const {
    const auto guard = hdf5::lock();
    const hdf5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose),
        creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    if (layout.newest) H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    const hdf5::Handle file(H5Fcreate(path("whole.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()),
                            H5Fclose);
    const hdf5::Handle group(H5Gcreate2(file.get(), "train", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                             H5Gclose);
    const std::array<hsize_t, 2> shape{rows, features}, most{H5S_UNLIMITED, features},
        chunk{layout.chunk_rows, features};
    if (layout.chunk_rows > 0) H5Pset_chunk(creation.get(), 2, chunk.data());
    if (layout.deflate) H5Pset_deflate(creation.get(), 6);
    if (layout.checksums) H5Pset_fletcher32(creation.get());
    const hdf5::Handle space(H5Screate_simple(2, shape.data(), layout.chunk_rows > 0 ? most.data() : nullptr),
                             H5Sclose);
    const hdf5::Handle x(
        H5Dcreate2(group.get(), "x", H5T_IEEE_F32LE, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
        H5Dclose);
    torch::Tensor values =
        torch::arange(static_cast<int64_t>(rows * features), torch::kFloat32).reshape({rows, features});
    H5Dwrite(x.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data_ptr());
    return values;
  }

  // The rows of the damaged file; none if it is rejected with an error that names it.
  std::optional<torch::Tensor> rows_of_damaged() const {
    try {
      const Dataset dataset(options(path("damaged.h5")));
      // Without checksums, a damaged shape with chunks that were never written is valid.
      if (dataset.split("train").rows() > 1000 || dataset.shape().features() > 1000) return torch::zeros({1});
      std::vector<int64_t> ids(static_cast<size_t>(dataset.split("train").rows()));
      for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
      return dataset.split("train").read(ids).x;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("damaged.h5"));
      return std::nullopt;
    }
  }
};

TEST_F(DamageTest, IsReportedOrHarmless) {
  int rejected = 0;
  std::mt19937 dice(20);
  for (const Layout& layout :
       {Layout{"contiguous", false, false, false, 0}, Layout{"chunks", false, false, false, 7},
        Layout{"old, compressed", false, true, true, 7}, Layout{"new, compressed", true, true, true, 7},
        Layout{"new, many chunks", true, true, false, 1}}) {
    const torch::Tensor values = write(layout);
    const std::string whole = read_file(path("whole.h5"));
    for (int trial = 0; trial < 60; ++trial) {
      SCOPED_TRACE(fmt::format("{}, trial {}", layout.name, trial));
      std::string damaged = whole;
      if (trial % 3 == 0) {
        damaged.resize(1 + dice() % (whole.size() - 1));
      } else {
        for (int bit = 0; bit <= trial % 5; ++bit)
          damaged[dice() % damaged.size()] ^= static_cast<char>(1U << dice() % 8);
      }
      std::ofstream(path("damaged.h5"), std::ios::binary) << damaged;
      const std::optional<torch::Tensor> read = rows_of_damaged();
      if (!read) ++rejected;
      // In these files, structures and chunks have checksums.
      if (read && layout.newest && layout.checksums) {
        EXPECT_TRUE(torch::equal(*read, values));
      }
    }
  }
  EXPECT_GT(rejected, 100);
}

}  // namespace
}  // namespace elbo
