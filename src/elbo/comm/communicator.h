// What ranks can do together. Every rank makes the same calls in the same order; tensors are contiguous;
// results are in place. A world of one rank is an ordinary world. One thread at a time makes calls.
//
// Every wait has a limit (Timeout): past it the call throws Error with the rank, the host and the call.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace elbo {

enum class ReduceOp { sum, max };

// How many elements go to, and come from, each rank; they lie behind one another in order of rank.
struct Split {
  std::vector<int64_t> send, receive;  // (world_size)
};

// A collective under way. Until it is done its tensors belong to it. It does not outlive its world.
class Work {
 public:
  virtual ~Work() = default;
  virtual bool done() = 0;  // moves it on; whether the results are there
  virtual void wait() = 0;  // until it is done; a limit counts from here
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Element counts as in `split`; send and receive have one dtype, one device, and do not overlap. The piece
  // for oneself is not copied where receive[rank] is 0: it is at hand already.
  virtual std::unique_ptr<Work> start_all_to_all(const torch::Tensor& send, torch::Tensor receive,
                                                     const Split& split) = 0;

  // `all` (sum of counts) holds this rank's counts[rank] elements at its place already (as in MPI_IN_PLACE);
  // the others' are filled in.
  virtual std::unique_ptr<Work> start_all_gather(torch::Tensor all,
                                                     const std::vector<int64_t>& counts) = 0;

  // The library's own sum: fast, not canonical (its order, and so its bits, depend on the world's size).
  virtual std::unique_ptr<Work> start_all_reduce(torch::Tensor tensor, ReduceOp op) = 0;

  void all_to_all(const torch::Tensor& send, torch::Tensor& receive, const Split& split) {
    start_all_to_all(send, receive, split)->wait();
  }
  void all_gather(torch::Tensor& all, const std::vector<int64_t>& counts) {
    start_all_gather(all, counts)->wait();
  }
  void all_reduce(torch::Tensor& tensor, ReduceOp op) { start_all_reduce(tensor, op)->wait(); }

  virtual void broadcast(torch::Tensor& tensor, int root) = 0;
  virtual void barrier() = 0;
};

// A text of any length from `root` to all (settings, messages). Returns it on every rank.
std::string broadcast_text(Communicator& comm, const std::string& text, int root);

// All ranks' texts in order of rank, on every rank.
std::vector<std::string> all_gather_text(Communicator& comm, const std::string& text);

}  // namespace elbo
