// The decoder of a chunk. An input: type, filters, filter mask, elements of the chunk (two bytes), stored
// bytes.
#include "elbo/hdf5/decode.h"

#include "bytes.h"

using namespace elbo;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto types = fuzz::element_types();
  static const auto pipelines = fuzz::pipelines();
  fuzz::Bytes input(data, size);
  Storage storage;
  storage.type = input.choose(types);
  storage.filters = input.choose(pipelines);
  const uint32_t skipped = input.next();
  const int64_t elements = 1 + input.next() + 256 * input.next();
  storage.shape = storage.chunk = {elements};
  const std::vector<uint8_t> rest = input.rest();
  Bytes bytes(rest.begin(), rest.end());
  try {
    undo_filters(storage, skipped, bytes);
  } catch (const std::runtime_error&) {
    return 0;
  }
  std::vector<torch::ScalarType> wanted{torch::kFloat32};
  if (storage.type.kind != ElementType::Kind::floating) wanted.push_back(torch::kInt64);
  if (storage.type.kind == ElementType::Kind::unsigned_integer && storage.type.size == 1)
    wanted.push_back(torch::kUInt8);
  for (const torch::ScalarType type : wanted) {
    std::vector<uint8_t> out(static_cast<size_t>(elements) * torch::elementSize(type));
    convert(storage.type, bytes.data(), elements, type, out.data());
  }
  return 0;
}
