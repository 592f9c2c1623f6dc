// Chunks that elbo compresses are read by the HDF5 library.
#include "elbo/hdf5/append_chunks.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <filesystem>

namespace elbo {
namespace {

namespace fs = std::filesystem;

TEST(AppendChunks, AreReadByTheLibraryAsTheyWereWritten) {
  std::string folder = (fs::temp_directory_path() / "elbo_chunks_XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  constexpr int64_t chunk_rows = 16;
  for (const auto type : {torch::kUInt8, torch::kInt32, torch::kFloat32, torch::kFloat64}) {
    const std::string path = folder + "/" + torch::toString(type) + ".h5";
    // Whole chunks; a partial one; then rows that begin within a chunk.
    const std::vector<torch::Tensor> parts{torch::arange(48 * 6), torch::arange(37 * 6),
                                           torch::arange(20 * 6)};
    std::vector<torch::Tensor> written;
    {
      const hdf5::Handle file = hdf5::create_file(path);
      const hdf5::Handle rows = hdf5::create_rows(file, "/x", {2, 3}, type, chunk_rows, 6);
      for (const torch::Tensor& part : parts) {
        written.push_back((part * 7).remainder(251).to(type).view({-1, 2, 3}));
        hdf5::append_chunks(rows, written.back(), chunk_rows, 6, 3);
      }
      hdf5::append_chunks(rows, torch::empty({0, 2, 3}, type), chunk_rows, 6, 3);
      hdf5::write_out(file, path);
    }
    const hdf5::Handle file = hdf5::open_file(path), rows = hdf5::open_dataset(file, "/x");
    const torch::Tensor expected = torch::cat(written);
    torch::Tensor found = torch::empty_like(expected);
    const hid_t memory = type == torch::kUInt8     ? H5T_NATIVE_UINT8
                         : type == torch::kInt32   ? H5T_NATIVE_INT32
                         : type == torch::kFloat32 ? H5T_NATIVE_FLOAT
                                                   : H5T_NATIVE_DOUBLE;
    ASSERT_EQ(hdf5::describe(rows).shape, expected.sizes().vec());
    hdf5::read_rows(rows, 0, expected.size(0), memory, found.mutable_data_ptr());
    EXPECT_TRUE(torch::equal(found, expected)) << torch::toString(type);
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace elbo
