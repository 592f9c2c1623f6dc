// Positional reads of a file. Thread-safe.
#pragma once
#include <cstdint>
#include <string>

namespace elbo {

class RawFile {
 public:
  explicit RawFile(std::string path);  // throws a usage Error if it cannot be opened
  ~RawFile();
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  // Whether bytes [address, address + size) were part of the file when it was opened.
  bool holds(uint64_t address, uint64_t size) const { return address <= size_ && size <= size_ - address; }

  // Throws Error unless all bytes can be read. Data outside of the page cache are read ahead together with
  // their neighbourhood, because training soon reads rows nearby.
  void read(uint64_t address, uint64_t size, void* out) const;

  // Throws Error if the size or the modification time has changed since the file was opened.
  void require_unchanged() const;

  const std::string& path() const { return path_; }

 private:
  bool read_from_cache(uint64_t address, uint64_t size, void* out) const;

  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  int64_t modified_ = 0;  // modification time, nanoseconds
};

}  // namespace elbo
