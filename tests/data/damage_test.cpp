// Files cut short or with bits turned over: an error that names the file, or the rows as they were.
// Sanitizers watch.
#include <gmock/gmock.h>

#include <fstream>
#include <random>

#include "data_test.h"
#include "elbo/base/file.h"

namespace elbo {
namespace {

struct Form {
  std::string name;
  bool newest, checksums, deflate;
  hsize_t chunk_rows;  // 0: contiguous
};

class DamageTest : public DataTest {
 protected:
  static constexpr hsize_t rows = 60, features = 24;

  torch::Tensor write(const Form& form) const {
    const auto guard = hdf5::lock();
    const hdf5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose),
        layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    if (form.newest) H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    const hdf5::Handle file(H5Fcreate(path("whole.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()),
                            H5Fclose);
    const hdf5::Handle group(H5Gcreate2(file.get(), "train", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                             H5Gclose);
    const std::array<hsize_t, 2> shape{rows, features}, most{H5S_UNLIMITED, features},
        chunk{form.chunk_rows, features};
    if (form.chunk_rows > 0) H5Pset_chunk(layout.get(), 2, chunk.data());
    if (form.deflate) H5Pset_deflate(layout.get(), 6);
    if (form.checksums) H5Pset_fletcher32(layout.get());
    const hdf5::Handle space(H5Screate_simple(2, shape.data(), form.chunk_rows > 0 ? most.data() : nullptr),
                             H5Sclose);
    const hdf5::Handle x(
        H5Dcreate2(group.get(), "x", H5T_IEEE_F32LE, space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT),
        H5Dclose);
    torch::Tensor values =
        torch::arange(static_cast<int64_t>(rows * features), torch::kFloat32).reshape({rows, features});
    H5Dwrite(x.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data_ptr());
    return values;
  }

  // The rows that the damaged file gives; none where it is refused with its name.
  std::optional<torch::Tensor> rows_of_damaged() const {
    try {
      const Dataset dataset(options(path("damaged.h5")));
      // Without a checksum nobody can tell that rows never written were not meant.
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

TEST_F(DamageTest, IsToldOrDoesNoHarm) {
  int predict = 0;
  std::mt19937 dice(20);
  for (const Form& form :
       {Form{"contiguous", false, false, false, 0}, Form{"chunks", false, false, false, 7},
        Form{"old, compressed", false, true, true, 7}, Form{"new, compressed", true, true, true, 7},
        Form{"new, many chunks", true, true, false, 1}}) {
    const torch::Tensor values = write(form);
    const std::string whole = read_file(path("whole.h5"));
    for (int turn = 0; turn < 60; ++turn) {
      SCOPED_TRACE(fmt::format("{}, turn {}", form.name, turn));
      std::string damaged = whole;
      if (turn % 3 == 0) {
        damaged.resize(1 + dice() % (whole.size() - 1));
      } else {
        for (int bit = 0; bit <= turn % 5; ++bit)
          damaged[dice() % damaged.size()] ^= static_cast<char>(1U << dice() % 8);
      }
      std::ofstream(path("damaged.h5"), std::ios::binary) << damaged;
      const std::optional<torch::Tensor> given = rows_of_damaged();
      if (!given) ++predict;
      // Both the structures of new files and such chunks carry checksums.
      if (given && form.newest && form.checksums) {
        EXPECT_TRUE(torch::equal(*given, values));
      }
    }
  }
  EXPECT_GT(predict, 100);
}

}  // namespace
}  // namespace elbo
