// The file that a converter writes. Datasets grow row by row in bounded memory; the file appears complete or
// not at all.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/file.h"
#include "elbo/base/options.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {

// The options that all formats share.
struct Target {
  std::string out;                    // file to write; must not exist
  std::string name, source, license;  // root attributes; an empty name means that of the file
  void bind(OptionTable& table);
};

// Chunks hold about 256 KiB of whole rows, shuffled and deflated, a few at a time on all cores. Not
// thread-safe. At most one exists in a process.
class DatasetWriter {
 public:
  // kind: image, volume, tabular, sequence, tokens, audio or interactions. Throws a usage Error if the file
  // exists.
  DatasetWriter(const Target& target, const std::string& kind);
  // Adds rows (n, …) to the dataset at `path`. The first call decides the shape and type.
  void append(const std::string& path, const torch::Tensor& rows);
  int64_t rows(const std::string& path) const;
  void write(const std::string& path, const torch::Tensor& tensor);  // a whole dataset
  void write_texts(const std::string& path, const std::vector<std::string>& texts);
  // Adds texts to the dataset at `path`, which is written by commit().
  void append_texts(const std::string& path, const std::vector<std::string>& texts);
  // `path`: an existing dataset or group.
  template <typename Value>
  void attribute(const std::string& path, const std::string& name, const Value& value) {
    hdf5::write_attribute(open(path), name, value);
  }
  // Moves the file to its place. Without this call, no file remains.
  void commit();

 private:
  struct Stream {
    std::vector<torch::Tensor> waiting;
    int64_t waiting_rows = 0, rows = 0;
    int64_t chunk_rows = 0;  // of full chunks; of the dataset's once it exists
    hdf5::Handle dataset;
  };
  void flush(const std::string& path, Stream& stream);
  void flush_all(const std::string& path, Stream& stream);
  int threads_;
  hdf5::Handle open(const std::string& path);

  std::string out_;
  AtomicFile target_;
  hdf5::Handle file_;
  std::map<std::string, Stream> streams_;
  std::map<std::string, std::vector<std::string>> texts_;
};

}  // namespace elbo
