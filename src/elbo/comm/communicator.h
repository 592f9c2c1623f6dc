// Collective operations. Every rank makes the same calls in the same order, from one thread at a time.
// Tensors are contiguous; results are written in place. All calls also work on a single rank.
//
// Every wait has a timeout. When it expires, the call throws Error, naming the rank, the host and the call.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace elbo {

enum class ReduceOp { sum, max };

// Element counts of an all-to-all. The elements for (from) the ranks are stored end to end in order of rank.
struct AllToAllCounts {
  std::vector<int64_t> send, receive;  // (world_size)
};

// An asynchronous collective. The caller must not access its tensors before it is done. The communicator must
// outlive it.
class Work {
 public:
  virtual ~Work() = default;
  virtual bool done() = 0;  // drives progress; true once the results are written
  virtual void wait() = 0;  // blocks until done; the timeout starts with this call
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // `send` (sum of counts.send) and `receive` (sum of counts.receive) have the same dtype and device and do
  // not overlap. With counts.receive[rank] == 0 the elements for this rank itself are not copied.
  virtual std::unique_ptr<Work> start_all_to_all(const torch::Tensor& send, torch::Tensor receive,
                                                 const AllToAllCounts& counts) = 0;

  // `all` (sum of counts) holds this rank's counts[rank] elements at their offset (as with MPI_IN_PLACE);
  // those of the other ranks are written.
  virtual std::unique_ptr<Work> start_all_gather(torch::Tensor all, const std::vector<int64_t>& counts) = 0;

  // The library's own reduction: fast, but its order of additions, and so its bits, depend on the number of
  // ranks.
  virtual std::unique_ptr<Work> start_all_reduce(torch::Tensor tensor, ReduceOp op) = 0;

  void all_to_all(const torch::Tensor& send, torch::Tensor& receive, const AllToAllCounts& counts) {
    start_all_to_all(send, receive, counts)->wait();
  }
  void all_gather(torch::Tensor& all, const std::vector<int64_t>& counts) {
    start_all_gather(all, counts)->wait();
  }
  void all_reduce(torch::Tensor& tensor, ReduceOp op) { start_all_reduce(tensor, op)->wait(); }

  virtual void broadcast(torch::Tensor& tensor, int root) = 0;
  virtual void barrier() = 0;
};

// Collective. The ranks' `own` (counts[rank] elements each) end to end in order of rank, on `root`; on the
// others an empty tensor, and no memory for what is not theirs.
torch::Tensor gather(Communicator& comm, const torch::Tensor& own, const std::vector<int64_t>& counts,
                     int root);

// Broadcasts a text of any length from `root`; returns it on every rank. Collective.
std::string broadcast_text(Communicator& comm, const std::string& text, int root);

// The texts of all ranks, in order of rank, on every rank. Collective.
std::vector<std::string> all_gather_text(Communicator& comm, const std::string& text);

}  // namespace elbo
