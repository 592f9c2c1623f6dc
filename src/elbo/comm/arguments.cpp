#include "elbo/comm/arguments.h"

#include <algorithm>
#include <numeric>

#include "elbo/base/error.h"

namespace elbo {
namespace {

void check_counts(const char* call, const std::vector<int64_t>& counts, int size, int64_t elements) {
  if (static_cast<int>(counts.size()) != size) fail("{}: {} counts for {} ranks", call, counts.size(), size);
  if (std::any_of(counts.begin(), counts.end(), [](int64_t count) { return count < 0; }))
    fail("{}: a count is negative", call);
  const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  if (total != elements)
    fail("{}: the counts add up to {}, but the tensor has {} elements", call, total, elements);
}

}  // namespace

void check_contiguous(const char* call, const torch::Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_contiguous()) fail("{}: the tensor is not contiguous", call);
}

void check_all_to_all(const torch::Tensor& send, const torch::Tensor& receive, const AllToAllCounts& counts,
                      int rank, int size) {
  constexpr const char* call = "all_to_all";
  check_contiguous(call, send);
  check_contiguous(call, receive);
  if (send.scalar_type() != receive.scalar_type() || send.device() != receive.device())
    fail("{}: send is {} on {}, receive is {} on {}", call, torch::toString(send.scalar_type()),
         send.device().str(), torch::toString(receive.scalar_type()), receive.device().str());
  check_counts(call, counts.send, size, send.numel());
  check_counts(call, counts.receive, size, receive.numel());
  const auto me = static_cast<size_t>(rank);
  if (counts.receive[me] != counts.send[me] && counts.receive[me] != 0)
    fail("{}: rank {} sends {} elements to itself but receives {}", call, rank, counts.send[me],
         counts.receive[me]);
}

void check_all_gather(const torch::Tensor& all, const std::vector<int64_t>& counts, int size) {
  check_contiguous("all_gather", all);
  check_counts("all_gather", counts, size, all.numel());
}

void check_all_reduce(const torch::Tensor& tensor) {
  check_contiguous("all_reduce", tensor);
  constexpr torch::ScalarType types[] = {torch::kFloat32, torch::kFloat64, torch::kInt64, torch::kInt32,
                                         torch::kUInt8};
  if (std::find(std::begin(types), std::end(types), tensor.scalar_type()) == std::end(types))
    fail("all_reduce: {} cannot be reduced", torch::toString(tensor.scalar_type()));
}

std::vector<int64_t> offsets_of(const std::vector<int64_t>& counts) {
  std::vector<int64_t> offsets(counts.size() + 1, 0);
  std::partial_sum(counts.begin(), counts.end(), offsets.begin() + 1);
  return offsets;
}

std::vector<size_t> peers_of(int rank, int size) {
  std::vector<size_t> peers;
  for (int step = 1; step < size; ++step) peers.push_back(static_cast<size_t>((rank + step) % size));
  return peers;
}

}  // namespace elbo
