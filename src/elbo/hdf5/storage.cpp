#include "elbo/hdf5/storage.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/hdf5/check.h"
#include "elbo/hdf5/chunk_index.h"
#include "elbo/hdf5/codecs.h"
#include "elbo/hdf5/file_search.h"
#include "elbo/hdf5/number_types.h"
#include "elbo/hdf5/unwritten_rows.h"
#include "elbo/hdf5/virtual_dataset.h"

namespace elbo {
namespace {

using hdf5::check;
using hdf5::checked;
using hdf5::Handle;

std::optional<ElementType> floating_type(hid_t type) {
  size_t sign = 0, exponent_at = 0, exponent_bits = 0, mantissa_at = 0, mantissa_bits = 0;
  if (H5Tget_fields(type, &sign, &exponent_at, &exponent_bits, &mantissa_at, &mantissa_bits) < 0)
    return std::nullopt;
  struct Format {
    size_t size, exponent_bits, bias;
    bool brain;
  };
  for (const Format& f : {Format{2, 5, 15, false}, Format{2, 8, 127, true}, Format{4, 8, 127, false},
                          Format{8, 11, 1023, false}}) {
    const size_t mantissa = 8 * f.size - 1 - f.exponent_bits;
    if (H5Tget_size(type) == f.size && sign == 8 * f.size - 1 && exponent_at == mantissa &&
        exponent_bits == f.exponent_bits && mantissa_at == 0 && mantissa_bits == mantissa &&
        H5Tget_ebias(type) == f.bias && H5Tget_norm(type) == H5T_NORM_IMPLIED)
      return ElementType{.kind = ElementType::Kind::floating,
                         .size = static_cast<int>(f.size),
                         .swapped = false,
                         .brain_float = f.brain};
  }
  return std::nullopt;
}

// None for unsupported types, e.g. integers of 24 bits or with padding.
std::optional<ElementType> element_type(hid_t type) {
  const size_t size = H5Tget_size(type);
  if (H5Tget_offset(type) != 0 || H5Tget_precision(type) != 8 * size) return std::nullopt;
  const H5T_order_t order = H5Tget_order(type);
  if (order != H5T_ORDER_LE && order != H5T_ORDER_BE) return std::nullopt;
  std::optional<ElementType> found;
  const hdf5::NumberType number = hdf5::number_type(type);
  if (number.type_class == H5T_FLOAT) {
    found = floating_type(type);
  } else if (number.type_class == H5T_INTEGER && std::has_single_bit(size) && size <= 8) {
    found = ElementType{
        .kind = number.is_signed ? ElementType::Kind::signed_integer : ElementType::Kind::unsigned_integer,
        .size = static_cast<int>(size),
        .swapped = false,
        .brain_float = false};
  }
  const bool little = order == H5T_ORDER_LE;
  if (found) found->swapped = size > 1 && little != (std::endian::native == std::endian::little);
  return found;
}

// Parameters: version (two numbers), element size, elements of a block or 0, compression, its level. None if
// only the library supports them.
std::optional<Filter> bitshuffle_filter(const std::vector<unsigned>& parameters, size_t element_size) {
  constexpr unsigned none = 0, lz4 = 2, zstd = 3;
  if (parameters.size() < 3 || parameters[2] != element_size) return std::nullopt;
  const unsigned compression = parameters.size() > 4 ? parameters[4] : none;
  if (compression == lz4 && has_codecs()) return Filter::bitshuffle_lz4;
  if (compression == zstd && has_codecs()) return Filter::bitshuffle_zstd;
  const bool usual_blocks = parameters.size() < 4 || parameters[3] == 0;
  return compression == none && usual_blocks ? std::optional(Filter::bitshuffle) : std::nullopt;
}

// None for a filter that only the library supports. The numbers are registered with The HDF Group.
std::optional<Filter> known_filter(const hdf5::DatasetInfo::FilterInfo& filter, size_t element_size) {
  const auto codec = [](Filter known) { return has_codecs() ? std::optional(known) : std::nullopt; };
  switch (filter.id) {
    case H5Z_FILTER_DEFLATE:
      return Filter::deflate;
    case H5Z_FILTER_SHUFFLE:
      return Filter::shuffle;
    case H5Z_FILTER_FLETCHER32:
      return Filter::fletcher32;
    case 32000:  // h5py
      return Filter::lzf;
    case 32001:
      return codec(Filter::blosc);
    case 32004:
      return codec(Filter::lz4);
    case 32008:
      return bitshuffle_filter(filter.parameters, element_size);
    case 32015:
      return codec(Filter::zstd);
    default:
      return std::nullopt;
  }
}

std::vector<uint8_t> fill_value(hid_t properties, hid_t type, const Handle& dataset) {
  std::vector<uint8_t> fill(H5Tget_size(type), 0);
  H5D_fill_value_t state = H5D_FILL_VALUE_UNDEFINED;
  check(H5Pfill_value_defined(properties, &state), dataset.get(), "query its fill value");
  if (state != H5D_FILL_VALUE_UNDEFINED)
    check(H5Pget_fill_value(properties, type, fill.data()), dataset.get(), "read its fill value");
  return fill;
}

// Whether only the first dimension can grow.
bool only_rows_can_grow(hid_t space, size_t rank) {
  std::vector<hsize_t> now(rank), limit(rank);
  H5Sget_simple_extent_dims(space, now.data(), limit.data());
  return std::equal(now.begin() + 1, now.end(), limit.begin() + 1);
}

uint64_t header_address(const Handle& dataset) {
  H5O_info_t info;
  check(H5Oget_info_by_name1(dataset.get(), ".", &info, H5P_DEFAULT), dataset.get(), "find its header");
  return info.addr;
}

// Bytes before the file's base address. Some versions of the library do not include them in chunk addresses.
uint64_t user_block(const Handle& dataset) {
  const Handle file = checked(H5Iget_file_id(dataset.get()), H5Fclose, dataset.get(), "find its file");
  const Handle creation =
      checked(H5Fget_create_plist(file.get()), H5Pclose, dataset.get(), "read its file's properties");
  hsize_t size = 0;
  check(H5Pget_userblock(creation.get(), &size), dataset.get(), "read its file's user block");
  return size;
}

// Compares the number of chunks, and the first of them, with the library, which finds chunks by a linear
// search.
bool index_agrees(const Handle& dataset, const Storage& storage) {
  hsize_t count = 0;
  const Handle space = checked(H5Dget_space(dataset.get()), H5Sclose, dataset.get(), "read its shape");
  check(H5Dget_num_chunks(dataset.get(), space.get(), &count), dataset.get(), "count its chunks");
  const auto found = std::ranges::count_if(
      storage.chunks, [](const StoredChunk& chunk) { return chunk.address != StoredChunk::unallocated; });
  bool agrees = static_cast<hsize_t>(found) == count;
  const uint64_t block = user_block(dataset);
  for (hsize_t i = 0; agrees && i < std::min<hsize_t>(count, 4); ++i) {
    std::vector<hsize_t> first(storage.shape.size());
    unsigned filter_mask = 0;
    haddr_t address = 0;
    hsize_t size = 0;
    check(H5Dget_chunk_info(dataset.get(), space.get(), i, first.data(), &filter_mask, &address, &size),
          dataset.get(), "query a chunk");
    uint64_t index = 0;
    for (size_t d = 0; d < first.size(); ++d)
      index = index * static_cast<uint64_t>(storage.chunks_along(d)) +
              first[d] / static_cast<uint64_t>(storage.chunk[d]);
    const StoredChunk& chunk = storage.chunks[index];
    agrees = (chunk.address == address || chunk.address == address + block) && chunk.size == size &&
             chunk.filter_mask == filter_mask;
  }
  return agrees;
}

// Compares the stored bytes of some chunks with those that the library reads, which it finds quickly by their
// position.
bool samples_agree(const RawFile& file, const Handle& dataset, const Storage& storage) {
  constexpr uint64_t samples = 16;
  for (uint64_t i = 0; i < samples; ++i) {
    const uint64_t index = i * (storage.chunks.size() - 1) / (samples - 1);
    const StoredChunk& chunk = storage.chunks[index];
    const std::vector<hsize_t> first = storage.first_element(index);
    hsize_t size = 0;
    const bool allocated = H5Dget_chunk_storage_size(dataset.get(), first.data(), &size) >= 0 && size > 0;
    if (allocated != (chunk.address != StoredChunk::unallocated)) return false;
    if (!allocated) continue;
    if (size != chunk.size || !file.holds(chunk.address, size)) return false;
    std::vector<uint8_t> theirs(size), ours(size);
    uint32_t filter_mask = 0;
    check(H5Dread_chunk(dataset.get(), H5P_DEFAULT, first.data(), &filter_mask, theirs.data()), dataset.get(),
          "read a chunk");
    file.read(chunk.address, size, ours.data());
    if (filter_mask != chunk.filter_mask || theirs != ours) return false;
  }
  return true;
}

// For a compact dataset: compares all of its bytes with those that the library reads.
bool compact_data_agree(const RawFile& file, const Handle& dataset, const Storage& storage) {
  const Handle type = checked(H5Dget_type(dataset.get()), H5Tclose, dataset.get(), "read its type");
  std::vector<uint8_t> theirs(storage.chunk_bytes()), ours(theirs.size());
  check(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, theirs.data()), dataset.get(),
        "read its rows");
  file.read(storage.chunks.front().address, ours.size(), ours.data());
  return theirs == ours;
}

// If the complete index of few chunks differs from the library's, the file is damaged, and the library would
// read beyond its chunks. If samples of an index of many chunks differ, the index may be of an unsupported
// kind.
bool agrees_with_library(const RawFile& file, const Handle& dataset, const Storage& storage, bool compact) {
  constexpr uint64_t few = 10'000;
  if (compact) return compact_data_agree(file, dataset, storage);
  if (storage.chunks.size() > few) return samples_agree(file, dataset, storage);
  if (!index_agrees(dataset, storage))
    usage_error("{}: its chunk index is inconsistent; the file is damaged", hdf5::name_of(dataset.get()));
  return true;
}

// The text that ComputeOnRoot transports: a mark followed by the chunks, or the reason why there are none.
constexpr char found_mark = '\0';

std::string find_chunks(const RawFile& file, const Handle& dataset, Storage storage, bool compact) {
  std::string why_not;
  std::optional<std::vector<StoredChunk>> chunks =
      read_chunk_index(file, header_address(dataset), storage, why_not);
  if (!chunks) return why_not;
  storage.chunks = std::move(*chunks);
  if (!agrees_with_library(file, dataset, storage, compact))
    return "its chunk index, read directly, differs from the library's";
  std::string text(1 + storage.chunks.size() * sizeof(StoredChunk), found_mark);
  std::memcpy(text.data() + 1, storage.chunks.data(), text.size() - 1);
  return text;
}

std::vector<StoredChunk> chunks_in(std::string_view text) {
  std::vector<StoredChunk> chunks((text.size() - 1) / sizeof(StoredChunk));
  std::memcpy(chunks.data(), text.data() + 1, chunks.size() * sizeof(StoredChunk));
  return chunks;
}

// A contiguous dataset as one chunk. Throws a usage Error if the file is too short for it.
StoredChunk contiguous_chunk(const RawFile& file, const Handle& dataset, const Storage& storage) {
  const haddr_t address = H5Dget_offset(dataset.get());
  const bool written = address != HADDR_UNDEF;
  if (written && !(storage.bytes() < 1e18 && file.holds(address, storage.chunk_bytes())))
    usage_error(
        "{}: {:g} bytes are expected from byte {} on, but the file ends before; it is truncated or damaged",
        hdf5::name_of(dataset.get()), storage.bytes(), address);
  return {.address = written ? address : StoredChunk::unallocated,
          .size = storage.chunk_bytes(),
          .filter_mask = 0};
}

// Sets the filters and the chunk shape of `storage`. Returns the reason if only the library can read them,
// else "".
std::string describe_chunks(const hdf5::DatasetInfo& info, hid_t properties, hid_t space, Storage& storage) {
  unsigned options = 0;
  if (H5Pget_chunk_opts(properties, &options) < 0 || options != 0)
    return "its chunks at the edges are stored without filters";
  for (const hdf5::DatasetInfo::FilterInfo& filter : info.filters) {
    const std::optional<Filter> known = known_filter(filter, info.type_size);
    if (!known) return fmt::format("only the library supports its filter {}", filter.name);
    storage.filters.push_back(*known);
  }
  storage.only_rows_grow = only_rows_can_grow(space, info.shape.size());
  storage.chunk = info.chunk;
  return "";
}

std::string missing_filter(const hdf5::DatasetInfo& info) {
  for (const hdf5::DatasetInfo::FilterInfo& filter : info.filters)
    if (!known_filter(filter, info.type_size) && H5Zfilter_avail(filter.id) <= 0) return filter.name;
  return "";
}

// Without this check, the library reads beyond the header of a damaged file.
void require_compact_data(const Handle& dataset, const Storage& storage) {
  if (static_cast<double>(H5Dget_storage_size(dataset.get())) < storage.bytes())
    usage_error("{}: {:g} bytes are expected, but only {} are stored; the file is damaged",
                hdf5::name_of(dataset.get()), storage.bytes(), H5Dget_storage_size(dataset.get()));
}

// The library reads zeros where an external file is too short.
void require_external_files(const Handle& dataset, hid_t properties) {
  const Handle holder = checked(H5Iget_file_id(dataset.get()), H5Fclose, dataset.get(), "find its file");
  const int files = H5Pget_external_count(properties);
  for (int i = 0; i < files; ++i) {
    std::string file(4096, '\0');
    off_t offset = 0;
    hsize_t size = 0;
    check(H5Pget_external(properties, static_cast<unsigned>(i), file.size() - 1, file.data(), &offset, &size),
          dataset.get(), "query its external files");
    const std::string path = hdf5::external_file(hdf5::name_of(holder.get()), file.c_str());
    std::error_code error;
    const uintmax_t bytes = std::filesystem::file_size(path, error);
    if (error)
      usage_error("{}: its rows are in {}: {}; HDF5_EXTFILE_PREFIX names the folder of external files",
                  hdf5::name_of(dataset.get()), path, error.message());
    if (size != H5F_UNLIMITED && bytes < static_cast<uintmax_t>(offset) + size)
      usage_error("{}: its rows are in {}, which has {} bytes; expected at least {}",
                  hdf5::name_of(dataset.get()), path, bytes, static_cast<uintmax_t>(offset) + size);
  }
}

// Finds the storage of datasets, and of the sources of virtual ones.
class StorageFinder {
 public:
  explicit StorageFinder(const ComputeOnRoot& compute_on_root) : compute_on_root_(compute_on_root) {}

  FoundStorage find(std::shared_ptr<const RawFile> file, const Handle& dataset, int depth = 0) const {
    const Handle properties =
        checked(H5Dget_create_plist(dataset.get()), H5Pclose, dataset.get(), "read its layout");
    switch (H5Pget_layout(properties.get())) {
      case H5D_VIRTUAL:
        return find_virtual(std::move(file), dataset, depth);
      case H5D_CONTIGUOUS:
        require_external_files(dataset, properties.get());
        [[fallthrough]];
      default:
        return find_stored(std::move(file), dataset, properties.get());
    }
  }

 private:
  FoundStorage find_virtual(std::shared_ptr<const RawFile> file, const Handle& dataset, int depth) const {
    constexpr int most_levels = 16;
    if (depth == most_levels)
      usage_error("{}: is a virtual dataset of virtual datasets, more than {} deep; expected stored rows",
                  hdf5::name_of(dataset.get()), most_levels);
    VirtualParts parts = open_virtual_dataset(dataset, [&](const Handle& source) {
      return find(std::make_shared<const RawFile>(source), source, depth + 1);
    });
    FoundStorage found{.file = std::move(file), .why_not = "its sources are not made of whole rows"};
    found.whole_rows = parts.whole_rows;
    found.unwritten = unwritten_text(dataset, parts.uncovered, "come from no source");
    for (const Source& source : parts.sources) {
      const std::vector<std::string>& more = source.found->unwritten;
      found.unwritten.insert(found.unwritten.end(), more.begin(), more.end());
      if (found.missing_filter.empty()) found.missing_filter = source.found->missing_filter;
    }
    found.sources = std::move(parts.sources);
    return found;
  }

  FoundStorage find_stored(std::shared_ptr<const RawFile> file, const Handle& dataset,
                           hid_t properties) const {
    const Handle type = checked(H5Dget_type(dataset.get()), H5Tclose, dataset.get(), "read its type");
    const Handle space = checked(H5Dget_space(dataset.get()), H5Sclose, dataset.get(), "read its shape");
    const hdf5::DatasetInfo info = hdf5::describe(dataset);
    const std::optional<ElementType> element = element_type(type.get());
    const auto through_library = [&](std::string why_not) {
      FoundStorage found{.file = file, .why_not = std::move(why_not), .missing_filter = missing_filter(info)};
      if (!info.chunk.empty() && info.numeric())
        found.unwritten = unwritten_text(dataset, unwritten_rows(dataset, info), "were never written");
      return found;
    };
    if (!element)
      return through_library(fmt::format("only the library converts its type {}", info.type_name));
    Storage storage{.type = *element,
                    .shape = info.shape,
                    .chunk = info.shape,
                    .filters = {},
                    .fill = fill_value(properties, type.get(), dataset),
                    .chunks = {}};
    const H5D_layout_t layout = H5Pget_layout(properties);
    if (layout == H5D_CONTIGUOUS) {
      if (H5Pget_external_count(properties) != 0) return through_library("its data are in external files");
      storage.chunks = {contiguous_chunk(*file, dataset, storage)};
    } else {
      if (layout == H5D_COMPACT) require_compact_data(dataset, storage);
      if (layout == H5D_CHUNKED)
        if (std::string why_not = describe_chunks(info, properties, space.get(), storage); !why_not.empty())
          return through_library(std::move(why_not));
      const std::string text =
          compute_on_root_([&] { return find_chunks(*file, dataset, storage, layout == H5D_COMPACT); });
      if (text.front() != found_mark) return through_library(text);
      storage.chunks = chunks_in(text);
    }
    FoundStorage found{.file = std::move(file)};
    if (!info.shape.empty())
      found.unwritten = unwritten_text(dataset, unwritten_rows(storage), "were never written");
    found.storage = std::move(storage);
    return found;
  }

  const ComputeOnRoot& compute_on_root_;
};

}  // namespace

double Storage::bytes() const {
  double bytes = type.size;
  for (const int64_t size : shape) bytes *= static_cast<double>(size);
  return bytes;
}

std::vector<hsize_t> Storage::first_element(uint64_t number) const {
  std::vector<hsize_t> first(shape.size());
  for (size_t d = first.size(); d-- > 0;) {
    const auto along = static_cast<uint64_t>(chunks_along(d));
    first[d] = number % along * static_cast<uint64_t>(chunk[d]);
    number /= along;
  }
  return first;
}

uint64_t Storage::chunk_bytes() const {
  auto bytes = static_cast<uint64_t>(type.size);
  for (const int64_t size : chunk) bytes *= static_cast<uint64_t>(size);
  return bytes;
}

FoundStorage find_storage(std::shared_ptr<const RawFile> file, const Handle& dataset,
                          const ComputeOnRoot& compute_on_root) {
  const auto guard = hdf5::lock();
  return StorageFinder(compute_on_root).find(std::move(file), dataset);
}

}  // namespace elbo
