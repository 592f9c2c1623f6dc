// HDF5 file structures and rows, read without the HDF5 library (version 1.10 loops forever on some damaged
// files). An input: type, filters, rows, features and those of a chunk, the address of the dataset's header
// (two bytes), the file.
#include "elbo/hdf5/chunk_index.h"

#include <fstream>

#include "bytes.h"
#include "elbo/base/error.h"
#include "elbo/hdf5/row_reader.h"

using namespace elbo;

namespace {

void read_rows(const std::shared_ptr<const RawFile>& file, Storage storage) {
  const int64_t rows = storage.shape[0], features = storage.shape[1];
  const auto found =
      std::make_shared<const FoundStorage>(FoundStorage{.file = file, .storage = std::move(storage)});
  const auto reader = make_row_reader(hdf5::Handle(), found, torch::kFloat32);
  std::vector<float> out(static_cast<size_t>(rows * features));
  try {
    reader->read(0, rows, out.data());
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto types = fuzz::element_types();
  static const auto pipelines = fuzz::pipelines();
  static const std::string path = std::filesystem::temp_directory_path() / "elbo_chunk_index";
  fuzz::Bytes input(data, size);
  Storage storage;
  storage.type = input.choose(types);
  storage.filters = input.choose(pipelines);
  storage.fill.resize(static_cast<size_t>(storage.type.size));
  for (std::vector<int64_t>* extents : {&storage.shape, &storage.chunk})
    for (int i = 0; i < 2; ++i) extents->push_back(1 + input.next());
  const uint64_t header = input.next() + 256U * input.next();
  const std::vector<uint8_t> bytes = input.rest();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  const auto file = std::make_shared<const RawFile>(path);
  std::string why_not;
  if (auto chunks = read_chunk_index(*file, header, storage, why_not)) {
    storage.chunks = std::move(*chunks);
    read_rows(file, std::move(storage));
  }
  return 0;
}
