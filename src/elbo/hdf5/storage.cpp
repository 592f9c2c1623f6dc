#include "elbo/hdf5/storage.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/hdf5/check.h"
#include "elbo/hdf5/chunk_index.h"
#include "elbo/hdf5/file_search.h"
#include "elbo/hdf5/index_check.h"
#include "elbo/hdf5/unwritten_rows.h"
#include "elbo/hdf5/virtual_dataset.h"

namespace elbo {
namespace {

using hdf5::check;
using hdf5::checked;
using hdf5::Handle;

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
