// Checkpoints with odd attributes, and with a digest that is right: an error, or a checkpoint. An input:
// which attribute of the root, of what type, its value.
#include "elbo/run/checkpoint.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <filesystem>
#include <fstream>

#include "bytes.h"
#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/sha256.h"
#include "elbo/hdf5/hdf5.h"
#include "elbo/parallel/flat_parameters.h"

using namespace elbo;
namespace fs = std::filesystem;

namespace {

constexpr size_t user_block = 512;

std::string sound_checkpoint(const fs::path& folder) {
  Checkpoint checkpoint;
  checkpoint.step = 3;
  checkpoint.data.x = {4};
  checkpoint.parameters = {{"w", torch::ones({2})}};
  checkpoint.fingerprint = fingerprint(checkpoint.parameters);
  write_checkpoint(folder / "sound.h5", checkpoint);
  return read_file(folder / "sound.h5");
}

std::vector<std::string> names() {
  std::vector<std::string> all{"format_version", "elbo_version"};
  Checkpoint checkpoint;
  for_each_field(checkpoint, [&](const char* name, const auto&, bool) { all.emplace_back(name); });
  return all;
}

void replace_attribute(const fs::path& path, const std::string& name, fuzz::Bytes& input) {
  const auto lock = hdf5::lock();
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hdf5::Handle owner{file, H5Fclose};
  const hdf5::Handle root = hdf5::open_group(owner, "/");
  if (H5Aexists(root.get(), name.c_str()) > 0) H5Adelete(root.get(), name.c_str());
  const uint8_t kind = input.next() % 3;
  const std::vector<uint8_t> rest = input.rest();
  int64_t number = 0;
  for (size_t i = 0; i < std::min(rest.size(), sizeof number); ++i)
    number |= static_cast<int64_t>(uint64_t{rest[i]} << (8 * i));
  if (kind == 0) hdf5::write_attribute(root, name, number);
  if (kind == 1) hdf5::write_attribute(root, name, static_cast<double>(number) * 1e-3);
  if (kind == 2) hdf5::write_attribute(root, name, std::string(rest.begin(), rest.end()));
}

void seal(const fs::path& path) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file << "elbo checkpoint\nsha256 " << sha256_of_file(path, user_block) << "\n";
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  log::set_enabled(false);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fs::path folder = [] {
    fs::path path = fs::temp_directory_path() / "elbo_checkpoint";
    fs::create_directories(path);
    return path;
  }();
  static const std::string sound = sound_checkpoint(folder);
  static const std::vector<std::string> attributes = names();
  fuzz::Bytes input(data, size);
  const fs::path path = folder / "odd.h5";
  std::ofstream(path, std::ios::binary) << sound;
  const std::string& name = input.choose(attributes);
  try {
    replace_attribute(path, name, input);
  } catch (const Error&) {
    return 0;  // HDF5 cannot hold such a value
  }
  seal(path);
  try {
    static_cast<void>(read_checkpoint(path));
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
