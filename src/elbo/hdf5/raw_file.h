// A file that any number of threads read at once, at any place.
#pragma once
#include <cstdint>
#include <string>

namespace elbo {

class RawFile {
 public:
  explicit RawFile(std::string path);  // throws a usage Error where it cannot be opened
  ~RawFile();
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  // Whether bytes [address, address + size) were part of the file when it was opened.
  bool holds(uint64_t address, uint64_t size) const { return address <= size_ && size <= size_ - address; }

  // Throws Error where not all bytes can be read. What is not in the system's page cache is fetched together
  // with its neighbourhood, which in the order of training is wanted soon.
  void read(uint64_t address, uint64_t size, void* out) const;

  // Throws Error if the file is not the one that was opened: its size or its time of change differ.
  void require_unchanged() const;

  const std::string& path() const { return path_; }

 private:
  bool read_from_cache(uint64_t address, uint64_t size, void* out) const;

  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  int64_t changed_ = 0;  // nanoseconds
};

}  // namespace elbo
