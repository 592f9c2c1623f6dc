// The bytes of an HDF5 file's own structures, taken in order and never beyond the file.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "elbo/hdf5/raw_file.h"

namespace elbo {

// What the file's structures do not allow to be read; caught where the reading began.
struct Unreadable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Bytes of the file from one place on, taken little-endian and in order.
class Cursor {
 public:
  Cursor(const RawFile& file, uint64_t address, uint64_t size) : address_(address) {
    if (size > (uint64_t{1} << 30)) throw Unreadable("a structure of impossible size");
    if (!file.holds(address, size)) throw Unreadable("a structure that lies behind the end of the file");
    bytes_.resize(size);  // no sooner: a damaged file asks for any size
    file.read(address, size, bytes_.data());
  }
  uint64_t number(int size) {
    require(static_cast<size_t>(size));
    uint64_t value = 0;
    for (size_t i = 0; i < static_cast<size_t>(size); ++i) value |= uint64_t{bytes_[at_ + i]} << (8 * i);
    at_ += static_cast<size_t>(size);
    return value;
  }
  void expect(std::string_view signature) {
    require(signature.size());
    if (std::memcmp(bytes_.data() + at_, signature.data(), signature.size()) != 0)
      throw Unreadable(fmt::format("a structure without its signature {}", signature));
    at_ += signature.size();
  }
  bool begins_with(std::string_view signature) const {
    return left() >= signature.size() &&
           std::memcmp(bytes_.data() + at_, signature.data(), signature.size()) == 0;
  }
  void skip(size_t size) {
    require(size);
    at_ += size;
  }
  size_t at() const { return at_; }
  uint64_t place() const { return address_ + at_; }  // in the file, of what comes next
  size_t left() const { return bytes_.size() - at_; }

 private:
  void require(size_t size) const {
    if (left() < size) throw Unreadable("a structure that is cut short");
  }
  uint64_t address_;
  std::vector<uint8_t> bytes_;
  size_t at_ = 0;
};

// Sizes of addresses and lengths, and what addresses are counted from.
struct Superblock {
  int offset_size = 8, length_size = 8;
  uint64_t base = 0;
};

Superblock read_superblock(const RawFile& file);  // throws Unreadable

}  // namespace elbo
