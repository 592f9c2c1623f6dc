// fuzz_seeds FOLDER: valid inputs for each target, FOLDER/TARGET/NAME, so that fuzzing gets past the headers.
#include <fmt/format.h>
#include <sys/stat.h>
#include <torch/types.h>

#include <filesystem>

#include "../convert/samples.h"
#include "bytes.h"
#include "cases.h"
#include "elbo/base/file.h"
#include "elbo/hdf5/hdf5.h"

using namespace elbo;
namespace fs = std::filesystem;

namespace {

struct Form {
  uint8_t type, pipeline;  // indices into the tables
  bool newest = false;
  hsize_t rows = 20, chunk_rows = 3;  // of chunk_rows 0: in the dataset's header
  bool extendible = false;
};
constexpr hsize_t features = 4;

// A dataset of ascending numbers.
void write_dataset(const fs::path& path, const Form& form) {
  const hdf5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose),
      layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  if (form.newest) H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  const hdf5::Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
  const std::array<hsize_t, 2> shape{form.rows, features}, chunk{form.chunk_rows, features},
      most{form.extendible ? H5S_UNLIMITED : form.rows, features};
  if (form.chunk_rows > 0) {
    H5Pset_chunk(layout.get(), 2, chunk.data());
  } else {
    H5Pset_layout(layout.get(), H5D_COMPACT);
  }
  const std::vector<Filter> filters = fuzz::pipelines()[form.pipeline];
  for (const Filter filter : filters) {
    if (filter == Filter::deflate) H5Pset_deflate(layout.get(), 6);
    if (filter == Filter::shuffle) H5Pset_shuffle(layout.get());
    if (filter == Filter::fletcher32) H5Pset_fletcher32(layout.get());
  }
  const std::array types{H5T_STD_U8LE,  H5T_STD_I8LE,  H5T_STD_U16LE,
                         H5T_STD_I16LE, H5T_STD_U32LE, H5T_STD_I32LE};
  const hdf5::Handle space(H5Screate_simple(2, shape.data(), most.data()), H5Sclose);
  const hdf5::Handle x(
      H5Dcreate2(file.get(), "x", types.at(form.type), space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT),
      H5Dclose);
  const torch::Tensor values = torch::arange(static_cast<int64_t>(form.rows * features), torch::kInt32);
  H5Dwrite(x.get(), H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.const_data_ptr());
}

std::string text_of(std::initializer_list<uint64_t> bytes) {
  std::string text;
  for (const uint64_t byte : bytes) text += static_cast<char>(byte);
  return text;
}

// The file, and the stored bytes of its first chunk.
void write_data_seeds(const fs::path& folder, const std::string& name, const Form& form) {
  const fs::path path = folder / "data.h5";
  write_dataset(path, form);
  const hdf5::Handle x = hdf5::open_dataset(hdf5::open_file(path), "x");
  H5O_info_t info;
  H5Oget_info_by_name1(x.get(), ".", &info, H5P_DEFAULT);
  const hsize_t chunk_rows = form.chunk_rows > 0 ? form.chunk_rows : form.rows;
  write_file(folder / "chunk_index" / name,
             text_of({form.type, form.pipeline, form.rows - 1, features - 1, chunk_rows - 1, features - 1,
                      info.addr % 256, info.addr / 256}) +
                 read_file(path));
  if (form.chunk_rows > 0) {
    const std::array<hsize_t, 2> first{0, 0};
    hsize_t size = 0;
    H5Dget_chunk_storage_size(x.get(), first.data(), &size);
    std::string stored(size, '\0');
    uint32_t skipped = 0;
    H5Dread_chunk(x.get(), H5P_DEFAULT, first.data(), &skipped, stored.data());
    write_file(folder / "decode" / name,
               text_of({form.type, form.pipeline, skipped, chunk_rows * features - 1, 0}) + stored);
  }
  fs::remove(path);
}

// A valid file of a case.
std::string sample(const fuzz::Case& chosen, const fs::path& folder) {
  const std::string ending = fs::path(chosen.file).extension(), path = folder / ("sample" + ending);
  if (chosen.format == "idx") return samples::idx();
  if (ending == ".npy") return samples::npy();
  if (ending == ".csv") return chosen.format == "ratings" ? samples::ratings() : samples::table(",");
  if (ending == ".tsv") return samples::table("\t");
  if (ending == ".txt") return samples::poem();
  if (ending == ".smi") return samples::molecules();
  if (ending == ".json") return samples::music();
  if (ending == ".jpg") return samples::jpeg(samples::noise(1, 3));
  if (ending == ".npz") samples::write_npz(path, samples::npy());
  if (ending == ".png") samples::write_png(path, samples::noise(1, 4));
  if (ending == ".wav" || ending == ".flac") samples::write_sound(path, 300);
  const std::string bytes = read_file(path);
  fs::remove(path);
  return bytes;
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) return 2;
  const fs::path folder = words[1];
  for (const char* target : {"decode", "chunk_index", "convert"}) fs::create_directories(folder / target);
  const auto guard = hdf5::lock();
  write_data_seeds(folder, "compact", {.type = 2, .pipeline = 0, .chunk_rows = 0});
  write_data_seeds(folder, "tree", {.type = 3, .pipeline = 0});
  write_data_seeds(folder, "compressed_tree", {.type = 5, .pipeline = 3});
  write_data_seeds(folder, "checksums", {.type = 2, .pipeline = 5});
  write_data_seeds(folder, "shuffled_last", {.type = 4, .pipeline = 7});
  write_data_seeds(folder, "one_chunk", {.type = 2, .pipeline = 2, .newest = true, .chunk_rows = 20});
  write_data_seeds(folder, "fixed_array", {.type = 2, .pipeline = 0, .newest = true});
  write_data_seeds(folder, "compressed_fixed_array", {.type = 2, .pipeline = 1, .newest = true});
  write_data_seeds(
      folder, "extensible_array",
      {.type = 0, .pipeline = 0, .newest = true, .rows = 200, .chunk_rows = 1, .extendible = true});
  write_data_seeds(
      folder, "compressed_extensible_array",
      {.type = 0, .pipeline = 1, .newest = true, .rows = 100, .chunk_rows = 1, .extendible = true});
  // Two literals, then two back-references.
  write_file(folder / "decode/lzf", text_of({0, 6, 2, 11, 0, 1, 'a', 'b', 0x60, 1, 0x60, 0}));
  // Eight elements of a byte, as the formats store them without compression.
  const std::string bytes = "abcdefgh";
  const std::string raw_zstd = text_of({0x28, 0xB5, 0x2F, 0xFD, 0x20, 8, 8 << 3 | 1, 0, 0});
  const std::string raw_lz4 = text_of({0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 8});
  write_file(folder / "decode/zstd", text_of({0, 8, 0, 7, 0}) + raw_zstd + bytes);
  write_file(folder / "decode/lz4", text_of({0, 9, 0, 7, 0}) + raw_lz4 + bytes);
  write_file(folder / "decode/blosc",
             text_of({0, 10, 0, 7, 0, 2, 1, 0x22, 1, 8, 0, 0, 0, 8, 0, 0, 0, 24, 0, 0, 0}) + bytes);
  write_file(folder / "decode/bitshuffle", text_of({0, 11, 0, 7, 0}) + raw_zstd + bytes);
  write_file(folder / "decode/bitshuffle_zstd",
             text_of({0, 12, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 17}) + raw_zstd + bytes);
  write_file(folder / "decode/bitshuffle_lz4",
             text_of({0, 13, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 9, 0x80}) + bytes);
  const std::vector<fuzz::Case> cases = fuzz::cases();
  for (size_t i = 0; i < cases.size(); ++i)
    write_file(folder / "convert" / std::to_string(i), text_of({i}) + sample(cases[i], folder));
}
