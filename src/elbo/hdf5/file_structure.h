// Bounds-checked reading of an HDF5 file's own structures.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "elbo/hdf5/raw_file.h"

namespace elbo {

// A structure that is unsupported or invalid. Caught by the function that started reading.
struct Unreadable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Reads a range of the file in order; integers are little-endian.
class Cursor {
 public:
  Cursor(const RawFile& file, uint64_t address, uint64_t size) : address_(address) {
    if (size > (uint64_t{1} << 30)) throw Unreadable("a structure has an invalid size");
    if (!file.holds(address, size)) throw Unreadable("a structure is beyond the end of the file");
    bytes_.resize(size);  // after the checks, because the size in a damaged file may be anything
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
      throw Unreadable(fmt::format("a structure lacks its signature {}", signature));
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
  uint64_t address() const { return address_ + at_; }  // of the next byte, in the file
  size_t left() const { return bytes_.size() - at_; }

 private:
  void require(size_t size) const {
    if (left() < size) throw Unreadable("a structure is truncated");
  }
  uint64_t address_;
  std::vector<uint8_t> bytes_;
  size_t at_ = 0;
};

// Sizes of addresses and lengths in bytes, and the base address that addresses are relative to.
struct Superblock {
  int offset_size = 8, length_size = 8;
  uint64_t base = 0;
};

Superblock read_superblock(const RawFile& file);  // throws Unreadable

}  // namespace elbo
