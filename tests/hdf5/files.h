// A fixture that writes HDF5 files for tests.
#pragma once
#include <gtest/gtest.h>
#include <torch/types.h>

#include <filesystem>
#include <string>

#include "elbo/hdf5/hdf5.h"

namespace elbo {

// Has a temporary folder, which is removed after the test.
class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    hdf5::lock();  // initialises the library before a test uses its types
    std::string pattern = (std::filesystem::temp_directory_path() / "elbo_data_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // Writes a new file with one dataset per tensor; returns its path.
  std::string make(const std::string& name, const std::vector<std::pair<std::string, torch::Tensor>>& tensors,
                   const std::string& kind = "", int64_t chunk_rows = 0) const {
    const auto guard = hdf5::lock();
    const hdf5::Handle file = hdf5::create_file(path(name));
    for (const auto& [where, tensor] : tensors)
      hdf5::write_tensor(file, where, tensor, chunk_rows, chunk_rows > 0 ? 4 : 0);
    if (!kind.empty()) hdf5::write_attribute(hdf5::open_group(file, "/"), "kind", kind);
    return path(name);
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace elbo
