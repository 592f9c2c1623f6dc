#include "elbo/hdf5/chunk_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string_view>
#include <unordered_set>

#include "elbo/hdf5/btree2.h"
#include "elbo/hdf5/file_structure.h"

namespace elbo {
namespace {

// The position in Storage::chunks of the chunk with these coordinates, in chunks. None if it is outside of
// the dataset (which may have been shrunk).
std::optional<uint64_t> index_of_chunk(const Storage& storage, const std::vector<uint64_t>& coordinates) {
  uint64_t index = 0;
  for (size_t d = 0; d < storage.shape.size(); ++d) {
    const auto count = static_cast<uint64_t>(storage.chunks_along(d));
    if (coordinates[d] >= count) return std::nullopt;
    index = index * count + coordinates[d];
  }
  return index;
}

// The same for the chunk with this first element.
std::optional<uint64_t> index_of(const Storage& storage, std::vector<uint64_t> first_element) {
  for (size_t d = 0; d < storage.shape.size(); ++d)
    first_element[d] /= static_cast<uint64_t>(storage.chunk[d]);
  return index_of_chunk(storage, first_element);
}

uint64_t chunks_of(const Storage& storage) {
  constexpr uint64_t limit = uint64_t{1} << 26;
  uint64_t count = 1;
  for (size_t d = 0; d < storage.shape.size(); ++d) {
    const auto along = static_cast<uint64_t>(storage.chunks_along(d));
    if (along > limit / count) throw Unreadable("too many chunks to keep their index in memory");
    count *= along;
  }
  return count;
}

class Indexer {
 public:
  Indexer(const RawFile& file, const Storage& storage)
      : file_(file),
        super_(read_superblock(file)),
        storage_(storage),
        chunks_(chunks_of(storage)),
        chunk_bytes_(storage.chunk_bytes()),
        filtered_(!storage.filters.empty()),
        index_(chunks_) {}

  std::vector<StoredChunk> read(uint64_t header) {
    find_layout(header);
    if (!found_) throw Unreadable("the object header has no data layout message");
    return std::move(index_);
  }

 private:
  uint64_t undefined() const {
    return ~uint64_t{0} >> (64U - 8U * static_cast<unsigned>(super_.offset_size));
  }
  Cursor at(uint64_t address, uint64_t size) const { return {file_, super_.base + address, size}; }
  uint64_t address(Cursor& cursor) const { return cursor.number(super_.offset_size); }
  uint64_t length(Cursor& cursor) const { return cursor.number(super_.length_size); }

  void set(uint64_t index, uint64_t where, uint64_t size, uint64_t filter_mask) {
    if (where == undefined()) return;
    index_[index] = {super_.base + where, size, static_cast<uint32_t>(filter_mask)};
  }

  // Rejects a second reference to a block or node: a chain of k blocks with two references to the next has
  // 2^k paths.
  void visit(uint64_t where) {
    if (!visited_.insert(where).second) throw Unreadable("two structures refer to the same one");
  }

  // ---- object headers ----

  void find_layout(uint64_t header) {
    Cursor prefix = at(header, 24);
    if (prefix.begins_with("OHDR")) {
      find_layout_in_version_2(header, std::move(prefix));
    } else {
      if (prefix.number(1) != 1) throw Unreadable("unknown version of the object header");
      prefix.skip(7);
      const uint64_t size = prefix.number(4);
      messages(header + 16, size, 1, false);
    }
  }

  void find_layout_in_version_2(uint64_t header, Cursor prefix) {
    prefix.expect("OHDR");
    if (prefix.number(1) != 2) throw Unreadable("unknown version of the object header");
    const uint64_t flags = prefix.number(1);
    const uint64_t before = 6 + ((flags & 0x20) != 0 ? 16 : 0) + ((flags & 0x10) != 0 ? 4 : 0);
    const auto width = static_cast<int>(uint64_t{1} << (flags & 3));
    Cursor sizes = at(header, before + static_cast<uint64_t>(width));
    sizes.skip(before);
    const uint64_t size = sizes.number(width);
    messages(header + before + static_cast<uint64_t>(width), size, 2, (flags & 4) != 0);
  }

  void messages(uint64_t first, uint64_t size, int version, bool ordered, int depth = 0) {
    if (depth > 64) throw Unreadable("the object header has too many continuation blocks");
    visit(first);
    Cursor cursor = at(first, size);
    const size_t head = version == 1 ? 8 : ordered ? 6 : 4;
    while (!found_ && cursor.left() >= head) {
      const uint64_t type = cursor.number(version == 1 ? 2 : 1);
      const uint64_t bytes = cursor.number(2);
      cursor.skip(head - (version == 1 ? 4 : 3));
      const size_t end = cursor.at() + bytes;
      if (type == 0x10) {  // continuation block
        const uint64_t where = address(cursor), more = length(cursor);
        if (version == 1) {
          messages(where, more, version, ordered, depth + 1);
        } else {
          if (more < 8) throw Unreadable("an object header's block has an invalid size");
          at(where, 4).expect("OCHK");
          messages(where + 4, more - 8, version, ordered, depth + 1);
        }
      } else if (type == 0x08) {
        read_layout(cursor);
        return;
      }
      if (cursor.at() > end) throw Unreadable("a message is longer than its size says");
      cursor.skip(end - cursor.at());
    }
  }

  // ---- layout messages ----

  // The data are inside the layout message.
  void read_compact(Cursor& cursor) {
    const uint64_t size = cursor.number(2);
    if (chunks_ != 1 || size < chunk_bytes_ || cursor.left() < size)
      throw Unreadable("the compact layout has an invalid size");
    index_.front() = {.address = cursor.address(), .size = chunk_bytes_, .filter_mask = 0};
  }

  void read_layout(Cursor& cursor) {
    found_ = true;
    const uint64_t version = cursor.number(1);
    if (version != 3 && version != 4)
      throw Unreadable(fmt::format("unknown version {} of the data layout message", version));
    const uint64_t kind = cursor.number(1);
    if (kind == 0) return read_compact(cursor);
    if (kind != 2) throw Unreadable("the layout is not chunked");
    const uint64_t flags = version == 4 ? cursor.number(1) : 0;
    if (cursor.number(1) != storage_.shape.size() + 1)
      throw Unreadable("the chunks and the dataset differ in rank");
    if (version == 3) return read_tree(address(cursor), {});
    const auto width = static_cast<int>(cursor.number(1));
    if (width < 1 || width > 8) throw Unreadable("the chunk sizes have an unknown width");
    cursor.skip(static_cast<size_t>(width) * (storage_.shape.size() + 1));
    const uint64_t index = cursor.number(1);
    // These number the chunks by the largest shape, not by the present one.
    if (index >= 2 && index <= 4 && !storage_.only_rows_grow)
      throw Unreadable("more dimensions than the first can grow");
    switch (index) {
      case 1:
        return read_single(cursor, (flags & 2) != 0);
      case 2:
        return read_implicit(cursor);
      case 3:
        cursor.skip(1);
        return read_fixed_array(address(cursor));
      case 4:
        cursor.skip(5);
        return read_extensible_array(address(cursor));
      case 5:
        cursor.skip(6);
        return read_tree_of_version_2(address(cursor));
      default:
        throw Unreadable("unknown type of chunk index");
    }
  }

  void read_single(Cursor& cursor, bool filtered) {
    const uint64_t size = filtered ? length(cursor) : chunk_bytes_;
    const uint64_t filter_mask = filtered ? cursor.number(4) : 0;
    if (chunks_ != 1) throw Unreadable("a single-chunk index for several chunks");
    set(0, address(cursor), size, filter_mask);
  }

  void read_implicit(Cursor& cursor) {
    const uint64_t first = address(cursor);
    if (first == undefined()) return;
    for (uint64_t i = 0; i < chunks_; ++i) set(i, first + i * chunk_bytes_, chunk_bytes_, 0);
  }

  // ---- version 1 B-trees ----

  void read_tree(uint64_t node, std::optional<uint64_t> level) {
    if (node == undefined()) return;
    visit(node);
    const auto offset = static_cast<uint64_t>(super_.offset_size);
    const uint64_t head = 8 + 2 * offset, key = 8 + 8 * (storage_.shape.size() + 1);
    Cursor prefix = at(node, head);
    prefix.expect("TREE");
    if (prefix.number(1) != 1) throw Unreadable("a B-tree that is not a chunk index");
    const uint64_t here = prefix.number(1);
    if (level && here + 1 != *level) throw Unreadable("the levels of the B-tree are not consecutive");
    const uint64_t entries = prefix.number(2);
    Cursor cursor = at(node + head, entries * (key + offset));
    std::vector<uint64_t> first(storage_.shape.size());
    for (uint64_t i = 0; i < entries; ++i) {
      const uint64_t size = cursor.number(4), filter_mask = cursor.number(4);
      for (uint64_t& coordinate : first) coordinate = cursor.number(8);
      cursor.skip(8);
      const uint64_t child = address(cursor);
      if (here > 0) {
        read_tree(child, here);
      } else if (const std::optional<uint64_t> index = index_of(storage_, first)) {
        set(*index, child, size, filter_mask);
      }
    }
  }

  void read_tree_of_version_2(uint64_t header) {
    if (header == undefined()) return;
    read_btree2(file_, super_, header, storage_.shape.size(), filtered_, [&](const ChunkRecord& record) {
      if (const std::optional<uint64_t> index = index_of_chunk(storage_, record.coordinates))
        set(*index, record.address, filtered_ ? record.size : chunk_bytes_, record.filter_mask);
    });
  }

  // ---- arrays of chunks ----

  // An element of an array: an address and, for filtered chunks, their size and filter mask.
  void read_elements(Cursor& cursor, uint64_t first, uint64_t count, uint64_t element_size) {
    const auto size_width = static_cast<int>(element_size) - super_.offset_size - 4;
    if (filtered_ ? size_width < 1 || size_width > 8
                  : element_size != static_cast<uint64_t>(super_.offset_size))
      throw Unreadable("the elements of an array have an unknown size");
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t where = address(cursor);
      const uint64_t size = filtered_ ? cursor.number(size_width) : chunk_bytes_;
      const uint64_t filter_mask = filtered_ ? cursor.number(4) : 0;
      if (first + i < chunks_) set(first + i, where, size, filter_mask);
    }
  }

  uint64_t read_array_head(Cursor& cursor, std::string_view signature) const {
    cursor.expect(signature);
    if (cursor.number(1) != 0) throw Unreadable("unknown version of an array");
    if (cursor.number(1) != (filtered_ ? 1 : 0)) throw Unreadable("unexpected kind of elements in an array");
    return 6;
  }

  // The elements of a data block that is divided into pages of `page` elements, each followed by a checksum.
  template <typename IsWritten>
  void read_pages(uint64_t first_byte, uint64_t first, uint64_t count, uint64_t element_size, uint64_t page,
                  IsWritten&& is_written) {
    if (count == 0) return;
    const uint64_t stride = page * element_size + 4;
    for (uint64_t number = 0; number * page < count; ++number) {
      if (!is_written(number)) continue;
      const uint64_t elements = std::min(page, count - number * page);
      Cursor cursor = at(first_byte + number * stride, elements * element_size);
      read_elements(cursor, first + number * page, elements, element_size);
    }
  }

  void read_fixed_array(uint64_t header) {
    if (header == undefined()) return;
    const auto offset = static_cast<uint64_t>(super_.offset_size),
               length_bytes = static_cast<uint64_t>(super_.length_size);
    Cursor cursor = at(header, 8 + length_bytes + offset);
    read_array_head(cursor, "FAHD");
    const uint64_t element_size = cursor.number(1), page_bits = cursor.number(1), count = length(cursor);
    const uint64_t block = address(cursor);
    if (block == undefined()) return;
    if (page_bits > 32 || count < chunks_ || count > (uint64_t{1} << 40))
      throw Unreadable("the fixed array has an invalid size");
    const uint64_t page = uint64_t{1} << page_bits, head = 6 + offset;
    Cursor prefix = at(block, head);
    read_array_head(prefix, "FADB");
    if (count <= page) {
      Cursor elements = at(block + head, count * element_size);
      return read_elements(elements, 0, count, element_size);
    }
    const uint64_t bitmap_bytes = ((count + page - 1) / page + 7) / 8;
    const std::vector<uint8_t> written = bits(block + head, bitmap_bytes);
    read_pages(block + head + bitmap_bytes + 4, 0, count, element_size, page,
               [&](uint64_t number) { return bit(written, number); });
  }

  std::vector<uint8_t> bits(uint64_t first, uint64_t size) const {
    Cursor cursor = at(first, size);
    std::vector<uint8_t> result(size);
    for (uint8_t& byte : result) byte = static_cast<uint8_t>(cursor.number(1));
    return result;
  }
  static bool bit(const std::vector<uint8_t>& bytes, uint64_t number) {
    return (bytes[number / 8] & (0x80U >> (number % 8))) != 0;
  }

  // Super block s has 2^⌊s/2⌋ data blocks of 2^⌈s/2⌉ · `minimum` elements. The index block refers directly to
  // the data blocks of the first super blocks.
  void read_extensible_array(uint64_t header) {
    if (header == undefined()) return;
    const auto offset = static_cast<uint64_t>(super_.offset_size),
               length_bytes = static_cast<uint64_t>(super_.length_size);
    Cursor cursor = at(header, 12 + 6 * length_bytes + offset);
    read_array_head(cursor, "EAHD");
    ExtensibleArray array;
    array.element_size = cursor.number(1);
    const uint64_t index_bits = cursor.number(1);
    const uint64_t in_index_block = cursor.number(1);
    array.minimum = cursor.number(1);
    const uint64_t minimum_pointers = cursor.number(1);
    const uint64_t page_bits = cursor.number(1);
    cursor.skip(6 * length_bytes);
    const uint64_t index_block = address(cursor);
    if (index_block == undefined()) return;
    if (index_bits > 64 || page_bits > 32 || !std::has_single_bit(array.minimum) ||
        !std::has_single_bit(minimum_pointers))
      throw Unreadable("the extensible array has an invalid size");
    array.offset_bytes = (index_bits + 7) / 8;
    array.page = uint64_t{1} << page_bits;
    const auto minimum_bits = static_cast<uint64_t>(std::countr_zero(array.minimum));
    const uint64_t direct = 2 * static_cast<uint64_t>(std::countr_zero(minimum_pointers));  // super blocks
    if (index_bits < minimum_bits) throw Unreadable("the extensible array has an invalid size");
    const uint64_t super_blocks = 1 + index_bits - minimum_bits;
    if (super_blocks < direct) throw Unreadable("the extensible array has an invalid size");
    const uint64_t direct_blocks = 2 * (minimum_pointers - 1);

    const uint64_t head = 6 + offset;
    Cursor block = at(index_block, head + in_index_block * array.element_size +
                                       (direct_blocks + super_blocks - direct) * offset);
    read_array_head(block, "EAIB");
    block.skip(offset);
    read_elements(block, 0, in_index_block, array.element_size);
    uint64_t first = in_index_block;
    for (uint64_t s = 0; s < direct; ++s)
      for (uint64_t i = 0; i < blocks_of(s); ++i, first += array.elements_of(s))
        read_data_block(array, address(block), first, array.elements_of(s), nullptr, 0);
    for (uint64_t s = direct; s < super_blocks && first < chunks_; ++s) {
      const uint64_t where = address(block);
      if (where != undefined()) read_super_block(array, where, s, first);
      first += blocks_of(s) * array.elements_of(s);
    }
  }

  struct ExtensibleArray {
    uint64_t element_size = 0, minimum = 1, page = 1, offset_bytes = 0;
    uint64_t elements_of(uint64_t super_block) const {
      return (uint64_t{1} << ((super_block + 1) / 2)) * minimum;
    }
    uint64_t pages_of(uint64_t super_block) const {
      const uint64_t elements = elements_of(super_block);
      return elements > page ? elements / page : 0;
    }
  };
  static uint64_t blocks_of(uint64_t super_block) { return uint64_t{1} << (super_block / 2); }

  void read_super_block(const ExtensibleArray& array, uint64_t where, uint64_t s, uint64_t first) {
    const auto offset = static_cast<uint64_t>(super_.offset_size);
    const uint64_t blocks = blocks_of(s), bitmap_bytes = (array.pages_of(s) + 7) / 8;
    const uint64_t head = 6 + offset + array.offset_bytes;
    Cursor cursor = at(where, head + blocks * bitmap_bytes + blocks * offset);
    read_array_head(cursor, "EASB");
    cursor.skip(offset + array.offset_bytes);
    // One bit per page, packed over all data blocks, although the space of each block is rounded up to whole
    // bytes.
    std::vector<uint8_t> written(blocks * bitmap_bytes);
    for (uint8_t& byte : written) byte = static_cast<uint8_t>(cursor.number(1));
    const uint64_t pages = array.pages_of(s);
    for (uint64_t i = 0; i < blocks && first < chunks_; ++i, first += array.elements_of(s))
      read_data_block(array, address(cursor), first, array.elements_of(s), &written, i * pages);
  }

  // written: bitmap of the pages that were written, those of this block from `first_page` on; null or empty
  // without pages.
  void read_data_block(const ExtensibleArray& array, uint64_t where, uint64_t first, uint64_t elements,
                       const std::vector<uint8_t>* written, uint64_t first_page) {
    if (where == undefined() || first >= chunks_) return;
    const uint64_t head = 6 + static_cast<uint64_t>(super_.offset_size) + array.offset_bytes;
    Cursor prefix = at(where, head);
    read_array_head(prefix, "EADB");
    if (written != nullptr && !written->empty())
      return read_pages(where + head + 4, first, elements, array.element_size, array.page,
                        [&](uint64_t number) { return bit(*written, first_page + number); });
    Cursor cursor = at(where + head, elements * array.element_size);
    read_elements(cursor, first, elements, array.element_size);
  }

  const RawFile& file_;
  Superblock super_;
  const Storage& storage_;
  uint64_t chunks_, chunk_bytes_;
  bool filtered_;
  bool found_ = false;
  std::unordered_set<uint64_t> visited_;
  std::vector<StoredChunk> index_;
};

}  // namespace

std::optional<std::vector<StoredChunk>> read_chunk_index(const RawFile& file, uint64_t header,
                                                         const Storage& storage, std::string& why_not) {
  try {
    return Indexer(file, storage).read(header);
  } catch (const Unreadable& reason) {
    why_not = fmt::format("its chunk index is not supported ({})", reason.what());
    return std::nullopt;
  }
}

}  // namespace elbo
