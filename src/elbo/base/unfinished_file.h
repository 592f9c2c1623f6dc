// Files under construction, and their removal when a signal ends the process.
#pragma once
#include <cstddef>
#include <filesystem>

#include "elbo/base/signal_handler.h"

namespace elbo {

// While such an object exists, a signal that ends the process removes all unfinished files first. For
// commands that do not end by themselves on a signal.
class RemovalOnSignals {
 public:
  RemovalOnSignals();

 private:
  SignalHandler handler_;
};

// The file at `path` is under construction while this object exists. A signal leaves the files above 64 at
// the same time, and those with paths above 4095 bytes.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(const std::filesystem::path& path);
  ~UnfinishedFile();
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

 private:
  size_t slot_;
};

}  // namespace elbo
