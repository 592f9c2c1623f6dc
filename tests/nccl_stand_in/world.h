// A communicator of the NCCL stand-in, over MPI in host memory. Like a nonblocking NCCL communicator it
// processes one group of operations at a time and makes progress when its state is queried. Before it moves
// data, all ranks exchange descriptions of their operations; a mismatch is an error on every rank, where NCCL
// would hang or corrupt data.
#pragma once
#include <mpi.h>
#include <nccl.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace nccl_stand_in {

enum class Kind : int32_t { send, receive, broadcast, all_reduce };

struct Operation {
  // The part that is sent to other ranks for comparison.
  struct Shown {
    Kind kind{};
    int32_t type = 0, peer = -1, op = 0;  // peer: the other rank, or the root
    int64_t count = 0;
    bool operator==(const Shown&) const = default;
  };
  Shown shown;
  const void* from = nullptr;
  void* to = nullptr;
};

std::string describe(const Operation::Shown& shown);  // "send 12 x uint8 to 1"

class World {
 public:
  World(int rank, int size, const ncclUniqueId& id);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  ncclResult_t begin(std::vector<Operation> operations);
  ncclResult_t finalize();
  ncclResult_t progress();  // returns the state
  void destroy() { MPI_Comm_free(&comm_); }
  ncclResult_t refuse(ncclResult_t result, const std::string& why);

  int size() const { return size_; }
  const std::string& last_error() const { return last_error_; }
  const std::vector<std::string>& record() const { return record_; }  // operations of this rank so far

 private:
  // Each step posts requests; the next one starts when they are done.
  void then(std::function<void()> step) { next_ = std::move(step); }
  MPI_Request* request() { return &requests_.emplace_back(MPI_REQUEST_NULL); }
  void check(int code);

  void exchange_ids(const ncclUniqueId& id);
  std::vector<int> partners() const;  // the ranks that take part in this group
  void exchange_counts();
  void exchange_operations();
  void compare();
  void move();
  void copy_results();

  int rank_, size_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  ncclResult_t state_ = ncclInProgress;
  std::string last_error_;
  std::vector<std::string> record_;

  std::vector<MPI_Request> requests_;
  std::function<void()> next_;
  std::vector<Operation> operations_;
  // MPI uses these buffers, not the caller's memory, which may be freed after an abort.
  std::vector<std::vector<char>> buffers_;  // one per operation
  std::vector<Operation::Shown> mine_;
  std::vector<std::vector<Operation::Shown>> theirs_;  // of each rank
  std::vector<int> counts_;                            // operations of each rank; [rank_]: of this one
};

}  // namespace nccl_stand_in
