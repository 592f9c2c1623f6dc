// Positional reads of a file. Thread-safe.
#pragma once
#include <cstdint>
#include <string>

#include "elbo/hdf5/hdf5.h"

namespace elbo {

class RawFile {
 public:
  explicit RawFile(std::string path);  // throws a usage Error if it cannot be opened
  // The file that holds `object`, which may be another one than a link to it is in. Uses the descriptor with
  // which HDF5 has opened it, and keeps it open. Call with hdf5::lock() held. Throws a usage Error if too few
  // descriptors are left for the rest of the program.
  explicit RawFile(const hdf5::Handle& object);
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

  // Throws Error if the path names another file now, or none.
  void require_in_place() const;

  const std::string& path() const { return path_; }

 private:
  bool read_from_cache(uint64_t address, uint64_t size, void* out) const;
  void open();
  void query_state();

  hdf5::Handle file_;  // owns the descriptor; empty: this object owns it
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  int64_t modified_ = 0;              // modification time, nanoseconds
  uint64_t device_ = 0, number_ = 0;  // of the file on its file system
};

}  // namespace elbo
