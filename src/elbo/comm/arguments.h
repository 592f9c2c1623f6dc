// Checks of a collective's arguments, shared by all communicators. A violation is a bug in the caller; the
// check throws Error before any message is posted, so that no rank waits for one that is never sent.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "elbo/comm/communicator.h"

namespace elbo {

void check_contiguous(const char* call, const torch::Tensor& tensor);
void check_all_to_all(const torch::Tensor& send, const torch::Tensor& receive, const AllToAllCounts& counts,
                      int rank, int size);
void check_all_gather(const torch::Tensor& all, const std::vector<int64_t>& counts, int size);
// Contiguous, with a dtype that both MPI and NCCL can reduce.
void check_all_reduce(const torch::Tensor& tensor);

// The exclusive prefix sum of `counts`, followed by the total: (world_size + 1).
std::vector<int64_t> offsets_of(const std::vector<int64_t>& counts);

// The other ranks, starting with rank + 1, so that not all ranks address the same peer first.
std::vector<size_t> peers_of(int rank, int size);

// A tensor in memory that a communicator can access: the tensor itself if it is on `device`, otherwise a copy
// there that copy_back() writes to the original.
class StagingTensor {
 public:
  StagingTensor(torch::Tensor original, torch::Device device)
      : original_(std::move(original)), staged_(original_.to(device)) {}
  torch::Tensor& operator*() { return staged_; }
  torch::Tensor* operator->() { return &staged_; }
  void copy_back() {
    if (!staged_.is_same(original_)) original_.copy_(staged_);
  }

 private:
  torch::Tensor original_, staged_;
};

}  // namespace elbo
