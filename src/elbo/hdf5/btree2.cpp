#include "elbo/hdf5/btree2.h"

#include <bit>
#include <unordered_set>

namespace elbo {
namespace {

// Bytes that hold numbers up to `largest`.
uint64_t width_of(uint64_t largest) { return largest == 0 ? 1 : (std::bit_width(largest) + 7) / 8; }

class Btree2 {
 public:
  Btree2(const RawFile& file, const Superblock& super, size_t rank, bool filtered,
         const std::function<void(const ChunkRecord&)>& visit)
      : file_(file), super_(super), rank_(rank), filtered_(filtered), visit_(visit) {}

  void read(uint64_t header) {
    const auto offset = static_cast<uint64_t>(super_.offset_size);
    Cursor cursor = at(header, 18 + offset + static_cast<uint64_t>(super_.length_size));
    read_head(cursor, "BTHD");
    node_size_ = cursor.number(4);
    record_size_ = cursor.number(2);
    const uint64_t depth = cursor.number(2);
    cursor.skip(2);
    const uint64_t root = cursor.number(super_.offset_size), records = cursor.number(2);
    const uint64_t fixed = offset + 8 * rank_ + (filtered_ ? 4 : 0);
    if (record_size_ < fixed + (filtered_ ? 1 : 0) || record_size_ > fixed + (filtered_ ? 8 : 0))
      throw Unreadable("the records of a B-tree have an unknown size");
    size_width_ = static_cast<int>(record_size_ - fixed);
    if (node_size_ < node_overhead + record_size_) throw Unreadable("the nodes of a B-tree are too small");
    measure(depth);
    if (records > 0) read_node(root, depth, records);
  }

 private:
  static constexpr uint64_t node_overhead = 10;  // signature, version, type, checksum

  Cursor at(uint64_t address, uint64_t size) const { return {file_, super_.base + address, size}; }

  void read_head(Cursor& cursor, std::string_view signature) const {
    cursor.expect(signature);
    if (cursor.number(1) != 0) throw Unreadable("unknown version of a B-tree");
    if (cursor.number(1) != (filtered_ ? 11 : 10)) throw Unreadable("a B-tree that is not a chunk index");
  }

  // The widths of the numbers of records in nodes follow from the most that fit.
  void measure(uint64_t depth) {
    constexpr uint64_t deepest = 16, most = uint64_t{1} << 40;
    if (depth > deepest) throw Unreadable("a B-tree is too deep");
    uint64_t all = (node_size_ - node_overhead) / record_size_;  // in a node and those below it
    count_width_ = static_cast<int>(width_of(all));
    total_width_ = {0};
    for (uint64_t level = 1; level <= depth; ++level) {
      const uint64_t pointer = static_cast<uint64_t>(super_.offset_size) +
                               static_cast<uint64_t>(count_width_) +
                               static_cast<uint64_t>(total_width_.back());
      if (node_size_ < node_overhead + 2 * pointer + record_size_ || all > most)
        throw Unreadable("a B-tree has an invalid size");
      const uint64_t records = (node_size_ - node_overhead - pointer) / (record_size_ + pointer);
      all = (records + 1) * all + records;
      total_width_.push_back(static_cast<int>(width_of(all)));
    }
  }

  void read_node(uint64_t address, uint64_t level, uint64_t records) {
    if (!visited_.insert(address).second) throw Unreadable("two structures refer to the same one");
    const int total_width = level > 0 ? total_width_[level - 1] : 0;
    const uint64_t pointer = static_cast<uint64_t>(super_.offset_size) + static_cast<uint64_t>(count_width_) +
                             static_cast<uint64_t>(total_width);
    Cursor cursor = at(address, 6 + records * record_size_ + (level > 0 ? (records + 1) * pointer : 0));
    read_head(cursor, level > 0 ? "BTIN" : "BTLF");
    for (uint64_t i = 0; i < records; ++i) read_record(cursor);
    for (uint64_t i = 0; level > 0 && i <= records; ++i) {
      const uint64_t child = cursor.number(super_.offset_size), count = cursor.number(count_width_);
      cursor.skip(static_cast<size_t>(total_width));
      read_node(child, level - 1, count);
    }
  }

  void read_record(Cursor& cursor) {
    ChunkRecord record;
    record.address = cursor.number(super_.offset_size);
    if (filtered_) {
      record.size = cursor.number(size_width_);
      record.filter_mask = cursor.number(4);
    }
    for (size_t d = 0; d < rank_; ++d) record.coordinates.push_back(cursor.number(8));
    visit_(record);
  }

  const RawFile& file_;
  const Superblock& super_;
  size_t rank_;
  bool filtered_;
  const std::function<void(const ChunkRecord&)>& visit_;
  uint64_t node_size_ = 0, record_size_ = 0;
  int size_width_ = 0, count_width_ = 0;
  std::vector<int> total_width_;  // by level
  std::unordered_set<uint64_t> visited_;
};

}  // namespace

void read_btree2(const RawFile& file, const Superblock& super, uint64_t header, size_t rank, bool filtered,
                 const std::function<void(const ChunkRecord&)>& visit) {
  Btree2(file, super, rank, filtered, visit).read(header);
}

}  // namespace elbo
