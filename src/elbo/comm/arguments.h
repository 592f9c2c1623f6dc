// What every world asks of the arguments of a collective. A violation is a mistake of the program, told as
// Error before any rank is left waiting for bytes that do not come.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "elbo/comm/communicator.h"

namespace elbo {

void check_contiguous(const char* call, const torch::Tensor& tensor);
void check_all_to_all(const torch::Tensor& send, const torch::Tensor& receive, const Split& split, int rank,
                      int size);
void check_all_gather(const torch::Tensor& all, const std::vector<int64_t>& counts, int size);
void check_all_reduce(
    const torch::Tensor& tensor);  // contiguous, of a type that can be summed by every library

// Where each rank's elements begin: the running sum of `counts`, with the total behind it.
std::vector<int64_t> offsets_of(const std::vector<int64_t>& counts);

// The other ranks, each rank beginning with its neighbour, so that not all of them call on the same one
// first.
std::vector<size_t> peers_of(int rank, int size);

// A tensor where a world can reach it: itself, or a copy on the world's device that bring_home() writes back.
class StagingTensor {
 public:
  StagingTensor(torch::Tensor home, torch::Device device) : home_(std::move(home)), here_(home_.to(device)) {}
  torch::Tensor& operator*() { return here_; }
  torch::Tensor* operator->() { return &here_; }
  void bring_home() {
    if (!here_.is_same(home_)) home_.copy_(here_);
  }

 private:
  torch::Tensor home_, here_;
};

}  // namespace elbo
