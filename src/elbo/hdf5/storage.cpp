#include "elbo/hdf5/storage.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/hdf5/chunk_index.h"
#include "elbo/hdf5/check.h"

namespace elbo {
namespace {

using hdf5::check;
using hdf5::checked;
using hdf5::Handle;

constexpr H5Z_filter_t lzf = 32000;  // registered by h5py

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

// None for integers of 24 bits, numbers with padding and the like.
std::optional<ElementType> element_type(hid_t type) {
  const size_t size = H5Tget_size(type);
  if (H5Tget_offset(type) != 0 || H5Tget_precision(type) != 8 * size) return std::nullopt;
  const H5T_order_t order = H5Tget_order(type);
  if (order != H5T_ORDER_LE && order != H5T_ORDER_BE) return std::nullopt;
  std::optional<ElementType> found;
  if (H5Tget_class(type) == H5T_FLOAT) {
    found = floating_type(type);
  } else if (H5Tget_class(type) == H5T_INTEGER && std::has_single_bit(size) && size <= 8) {
    const bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
    found = ElementType{
        .kind = is_signed ? ElementType::Kind::signed_integer : ElementType::Kind::unsigned_integer,
        .size = static_cast<int>(size),
        .swapped = false,
        .brain_float = false};
  }
  const bool little = order == H5T_ORDER_LE;
  if (found) found->swapped = size > 1 && little != (std::endian::native == std::endian::little);
  return found;
}

// None for a filter that only the library knows.
std::optional<Filter> known_filter(H5Z_filter_t id) {
  switch (id) {
    case H5Z_FILTER_DEFLATE:
      return Filter::deflate;
    case H5Z_FILTER_SHUFFLE:
      return Filter::shuffle;
    case H5Z_FILTER_FLETCHER32:
      return Filter::fletcher32;
    case lzf:
      return Filter::lzf;
    default:
      return std::nullopt;
  }
}

std::vector<uint8_t> fill_value(hid_t properties, hid_t type, const Handle& dataset) {
  std::vector<uint8_t> fill(H5Tget_size(type), 0);
  H5D_fill_value_t state = H5D_FILL_VALUE_UNDEFINED;
  check(H5Pfill_value_defined(properties, &state), dataset.get(), "ask for its fill value");
  if (state != H5D_FILL_VALUE_UNDEFINED)
    check(H5Pget_fill_value(properties, type, fill.data()), dataset.get(), "read its fill value");
  return fill;
}

// Whether all but the first dimension are as long as they can get: only then do indexes of new files number
// chunks as Storage does.
bool only_rows_may_come(hid_t space, size_t rank) {
  std::vector<hsize_t> now(rank), limit(rank);
  H5Sget_simple_extent_dims(space, now.data(), limit.data());
  return std::equal(now.begin() + 1, now.end(), limit.begin() + 1);
}

uint64_t header_address(const Handle& dataset) {
  H5O_info_t info;
  check(H5Oget_info_by_name1(dataset.get(), ".", &info, H5P_DEFAULT), dataset.get(), "find its header");
  return info.addr;
}

// Bytes before the file's base address, which the library leaves out of chunks' addresses in some versions.
uint64_t user_block(const Handle& dataset) {
  const Handle file = checked(H5Iget_file_id(dataset.get()), H5Fclose, dataset.get(), "find its file");
  const Handle creation =
      checked(H5Fget_create_plist(file.get()), H5Pclose, dataset.get(), "read its file's properties");
  hsize_t size = 0;
  check(H5Pget_userblock(creation.get(), &size), dataset.get(), "read its file's user block");
  return size;
}

std::vector<hsize_t> first_element(const Storage& storage, uint64_t chunk) {
  std::vector<hsize_t> first(storage.shape.size());
  for (size_t d = first.size(); d-- > 0;) {
    const auto along = static_cast<uint64_t>(storage.chunks_along(d));
    first[d] = chunk % along * static_cast<uint64_t>(storage.chunk[d]);
    chunk /= along;
  }
  return first;
}

// Whether the library finds as many chunks, and the first ones where they were read to be. It goes through
// them one by one.
bool is_index_of_library(const Handle& dataset, const Storage& storage) {
  hsize_t count = 0;
  const Handle space = checked(H5Dget_space(dataset.get()), H5Sclose, dataset.get(), "read its shape");
  check(H5Dget_num_chunks(dataset.get(), space.get(), &count), dataset.get(), "count its chunks");
  const auto found = std::ranges::count_if(
      storage.pieces, [](const StoredPiece& piece) { return piece.address != StoredPiece::nowhere; });
  bool agrees = static_cast<hsize_t>(found) == count;
  const uint64_t block = user_block(dataset);
  for (hsize_t i = 0; agrees && i < std::min<hsize_t>(count, 4); ++i) {
    std::vector<hsize_t> first(storage.shape.size());
    unsigned skipped = 0;
    haddr_t address = 0;
    hsize_t size = 0;
    check(H5Dget_chunk_info(dataset.get(), space.get(), i, first.data(), &skipped, &address, &size),
          dataset.get(), "ask for a chunk");
    uint64_t index = 0;
    for (size_t d = 0; d < first.size(); ++d)
      index = index * static_cast<uint64_t>(storage.chunks_along(d)) +
              first[d] / static_cast<uint64_t>(storage.chunk[d]);
    const StoredPiece& piece = storage.pieces[index];
    agrees = (piece.address == address || piece.address == address + block) && piece.size == size &&
             piece.skipped == skipped;
  }
  return agrees;
}

// Whether the library reads the same stored bytes of some chunks, which it finds at once by their place.
bool are_chunks_of_library(const RawFile& file, const Handle& dataset, const Storage& storage) {
  constexpr uint64_t samples = 16;
  for (uint64_t i = 0; i < samples; ++i) {
    const uint64_t index = i * (storage.pieces.size() - 1) / (samples - 1);
    const StoredPiece& piece = storage.pieces[index];
    const std::vector<hsize_t> first = first_element(storage, index);
    hsize_t size = 0;
    const bool there = H5Dget_chunk_storage_size(dataset.get(), first.data(), &size) >= 0 && size > 0;
    if (there != (piece.address != StoredPiece::nowhere)) return false;
    if (!there) continue;
    if (size != piece.size || !file.holds(piece.address, size)) return false;
    std::vector<uint8_t> theirs(size), ours(size);
    uint32_t skipped = 0;
    check(H5Dread_chunk(dataset.get(), H5P_DEFAULT, first.data(), &skipped, theirs.data()), dataset.get(),
          "read a chunk");
    file.read(piece.address, size, ours.data());
    if (skipped != piece.skipped || theirs != ours) return false;
  }
  return true;
}

// Of a dataset whose rows are in its header: whether the library reads the same ones.
bool are_rows_of_library(const RawFile& file, const Handle& dataset, const Storage& storage) {
  const Handle type = checked(H5Dget_type(dataset.get()), H5Tclose, dataset.get(), "read its type");
  std::vector<uint8_t> theirs(storage.bytes_of_piece()), ours(theirs.size());
  check(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, theirs.data()), dataset.get(),
        "read its rows");
  file.read(storage.pieces.front().address, ours.size(), ours.data());
  return theirs == ours;
}

// Where the few chunks of a dataset are not those that the library finds, the file is damaged, and the
// library is not to be trusted with it: it takes what a chunk should hold for what it holds. An index of many
// chunks, of which only some are looked at, may be of a kind that is not known here.
bool agrees_with_library(const RawFile& file, const Handle& dataset, const Storage& storage, bool in_header) {
  constexpr uint64_t few = 10'000;
  if (in_header) return are_rows_of_library(file, dataset, storage);
  if (storage.pieces.size() > few) return are_chunks_of_library(file, dataset, storage);
  if (!is_index_of_library(dataset, storage))
    usage_error("{}: its index of chunks contradicts itself; the file is damaged",
                hdf5::name_of(dataset.get()));
  return true;
}

// What goes through ComputeOnRoot: pieces behind a mark, or why there are none.
constexpr char found_mark = '\0';

std::string find_pieces(const RawFile& file, const Handle& dataset, Storage storage, bool in_header) {
  std::string why_not;
  std::optional<std::vector<StoredPiece>> pieces =
      read_chunk_index(file, header_address(dataset), storage, why_not);
  if (!pieces) return why_not;
  storage.pieces = std::move(*pieces);
  if (!agrees_with_library(file, dataset, storage, in_header))
    return "its index reads otherwise than the library says";
  std::string text(1 + storage.pieces.size() * sizeof(StoredPiece), found_mark);
  std::memcpy(text.data() + 1, storage.pieces.data(), text.size() - 1);
  return text;
}

std::vector<StoredPiece> pieces_in(std::string_view text) {
  std::vector<StoredPiece> pieces((text.size() - 1) / sizeof(StoredPiece));
  std::memcpy(pieces.data(), text.data() + 1, pieces.size() * sizeof(StoredPiece));
  return pieces;
}

// A contiguous dataset; throws where the file is too short for it.
StoredPiece whole_piece(const RawFile& file, const Handle& dataset, const Storage& storage) {
  const haddr_t address = H5Dget_offset(dataset.get());
  const bool written = address != HADDR_UNDEF;
  if (written && !(storage.bytes() < 1e18 && file.holds(address, storage.bytes_of_piece())))
    usage_error(
        "{}: should have {:g} bytes from {} on, which the file has not; it was cut short or is damaged",
        hdf5::name_of(dataset.get()), storage.bytes(), address);
  return {
      .address = written ? address : StoredPiece::nowhere, .size = storage.bytes_of_piece(), .skipped = 0};
}

// Adds filters and sizes of chunks to `storage`; returns why the library has to read them, or nothing.
std::string describe_chunks(const hdf5::DatasetInfo& info, hid_t properties, hid_t space, Storage& storage) {
  unsigned options = 0;
  if (H5Pget_chunk_opts(properties, &options) < 0 || options != 0)
    return "its chunks at the borders are stored otherwise";
  for (const hdf5::DatasetInfo::FilterInfo& filter : info.filters) {
    const std::optional<Filter> known = known_filter(filter.id);
    if (!known) return fmt::format("its filter {} is one that only the library knows", filter.name);
    storage.filters.push_back(*known);
  }
  if (!only_rows_may_come(space, info.shape.size())) return "more of its dimensions than the first can grow";
  storage.chunk = info.chunk;
  return "";
}

std::string missing_filter(const hdf5::DatasetInfo& info) {
  for (const hdf5::DatasetInfo::FilterInfo& filter : info.filters)
    if (!known_filter(filter.id) && H5Zfilter_avail(filter.id) <= 0) return filter.name;
  return "";
}

// The library copies as many bytes as there should be, whether they are there or not.
void require_rows_in_header(const Handle& dataset, const Storage& storage) {
  if (static_cast<double>(H5Dget_storage_size(dataset.get())) < storage.bytes())
    usage_error("{}: should have {:g} bytes, but only {} are stored; it is damaged",
                hdf5::name_of(dataset.get()), storage.bytes(), H5Dget_storage_size(dataset.get()));
}

}  // namespace

double Storage::bytes() const {
  double bytes = type.size;
  for (const int64_t size : shape) bytes *= static_cast<double>(size);
  return bytes;
}

uint64_t Storage::bytes_of_piece() const {
  auto bytes = static_cast<uint64_t>(type.size);
  for (const int64_t size : chunk) bytes *= static_cast<uint64_t>(size);
  return bytes;
}

FoundStorage find_storage(const RawFile& file, const Handle& dataset, const ComputeOnRoot& once) {
  const auto guard = hdf5::lock();
  const Handle type = checked(H5Dget_type(dataset.get()), H5Tclose, dataset.get(), "read its type");
  const Handle space = checked(H5Dget_space(dataset.get()), H5Sclose, dataset.get(), "read its shape");
  const Handle properties =
      checked(H5Dget_create_plist(dataset.get()), H5Pclose, dataset.get(), "read its layout");
  const hdf5::DatasetInfo info = hdf5::describe(dataset);
  const std::optional<ElementType> element = element_type(type.get());
  if (!element) return {{}, fmt::format("its type {} is one that only the library converts", info.type_name)};
  Storage storage{.type = *element,
                  .shape = info.shape,
                  .chunk = info.shape,
                  .filters = {},
                  .fill = fill_value(properties.get(), type.get(), dataset),
                  .pieces = {}};
  const H5D_layout_t layout = H5Pget_layout(properties.get());
  switch (layout) {
    case H5D_CONTIGUOUS:
      if (H5Pget_external_count(properties.get()) != 0) return {{}, "it lies in external files"};
      storage.pieces = {whole_piece(file, dataset, storage)};
      return {std::move(storage), ""};
    case H5D_CHUNKED:
      if (std::string why_not = describe_chunks(info, properties.get(), space.get(), storage);
          !why_not.empty())
        return {{}, std::move(why_not), missing_filter(info)};
      break;
    case H5D_COMPACT:
      require_rows_in_header(dataset, storage);
      break;
    default:
      return {{}, "its layout (virtual) is one that only the library reads"};
  }
  const std::string text = once([&] { return find_pieces(file, dataset, storage, layout == H5D_COMPACT); });
  if (text.front() != found_mark) return {{}, text};
  storage.pieces = pieces_in(text);
  return {std::move(storage), ""};
}

}  // namespace elbo
