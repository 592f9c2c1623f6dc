// Writes a checkpoint (run/checkpoint.h) whose optimizer states come in pieces.
#pragma once
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "elbo/base/file.h"
#include "elbo/base/sha256.h"
#include "elbo/hdf5/hdf5.h"
#include "elbo/run/checkpoint.h"

namespace elbo {

// The file has a temporary name until commit(), and is removed without it. All functions throw Error (a full
// disk, …).
class CheckpointFile {
 public:
  // Writes everything but optimizer states, of which `optimizer` are the tensors; checkpoint.optimizer is not
  // read.
  CheckpointFile(const std::filesystem::path& path, const Checkpoint& checkpoint,
                 std::vector<TensorShape> optimizer);
  // The next rows: of the first tensor from its first row to its last, then of the second, …
  void write(const TensorRows& rows);
  // After the last: syncs, reads back and verifies, renames, syncs the folder.
  void commit();

 private:
  void begin_next_tensor();

  AtomicFile target_;
  hdf5::Handle file_, dataset_;
  std::vector<TensorShape> optimizer_;
  std::unique_ptr<Sha256> digest_;  // of the tensor that is being written
  size_t next_ = 0;                 // the tensor after that
  int64_t missing_ = 0;             // elements of that tensor
};

}  // namespace elbo
