#include "elbo/comm/mpi_communicator.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "elbo/base/flight_recorder.h"
#include "elbo/comm/arguments.h"
#include "elbo/comm/mpi_check.h"

namespace elbo {
namespace {

// MPI's counts are int; longer buffers are sent in several messages.
constexpr int64_t max_count = int64_t{1024} * 1024 * 1024;

MPI_Datatype mpi_type(torch::ScalarType type) {
  switch (type) {
    case torch::kFloat32:
      return MPI_FLOAT;
    case torch::kFloat64:
      return MPI_DOUBLE;
    case torch::kInt64:
      return MPI_INT64_T;
    case torch::kInt32:
      return MPI_INT32_T;
    case torch::kUInt8:
      return MPI_UINT8_T;
    default:
      fail("MPI cannot reduce tensors of type {}", torch::toString(type));
  }
}

// Calls function(offset, count) for consecutive chunks of at most max_count.
template <typename Function>
void in_chunks(int64_t total, Function&& function) {
  for (int64_t done = 0; done < total; done += max_count)
    function(done, static_cast<int>(std::min(max_count, total - done)));
}

struct OwnedComm {
  OwnedComm() = default;
  ~OwnedComm() {
    if (comm != MPI_COMM_NULL) MPI_Comm_free(&comm);
  }
  OwnedComm(const OwnedComm&) = delete;
  OwnedComm& operator=(const OwnedComm&) = delete;
  MPI_Comm comm = MPI_COMM_NULL;
};

// A collective made of MPI requests.
class MpiWork final : public Work {
 public:
  // `post` appends the started requests. `result` is copied back when all of them are done.
  template <typename Post>
  MpiWork(const RankName& name, double timeout, InFlight& in_flight, InFlight::Call call, int64_t bytes,
          std::optional<StagingTensor> result, Post&& post)
      : name_(name),
        timeout_(timeout),
        in_flight_(in_flight),
        bytes_(bytes),
        number_(FlightRecorder::instance().enter(call.name, bytes)),
        result_(std::move(result)) {
    in_flight_.calls.push_back(std::move(call));
    call_ = std::prev(in_flight_.calls.end());
    post(requests_);
  }

  bool done() override {
    for (; next_ < requests_.size(); ++next_) {
      int arrived = 0;
      check_mpi(MPI_Test(&requests_[next_], &arrived, MPI_STATUS_IGNORE), name_,
                std::string("complete ") + call_->name);
      if (arrived == 0) return false;
    }
    if (!done_) {
      done_ = true;
      FlightRecorder::instance().leave(number_);
      in_flight_.calls.erase(call_);
      if (result_) result_->copy_back();
    }
    return true;
  }

  void wait() override {
    if (done()) return;
    const Wait wait(name_, call_->name, bytes_, timeout_, number_);
    while (!done()) wait.pause();
  }

 private:
  const RankName& name_;
  double timeout_;
  InFlight& in_flight_;
  std::list<InFlight::Call>::iterator call_;
  int64_t bytes_, number_;
  std::optional<StagingTensor> result_;
  std::vector<MPI_Request> requests_;
  size_t next_ = 0;  // the first request that is not known to be done
  bool done_ = false;
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(RankName name, double timeout, std::shared_ptr<InFlight> in_flight)
      : name_(std::move(name)), timeout_(timeout), in_flight_(std::move(in_flight)) {
    // A duplicate of MPI_COMM_WORLD, so that messages of several communicators do not match.
    start("creation of the communicator", {}, 0, {}, [&](Requests& requests) {
      check(MPI_Comm_idup(MPI_COMM_WORLD, &owned_->comm, &requests.emplace_back()), "MPI_Comm_idup");
    })->wait();
    inspect();
  }

  // MPI_Comm_split waits without a limit. All ranks are about to call it when the barrier ends.
  MpiCommunicator(Communicator& world, int group, RankName name, double timeout,
                  std::shared_ptr<InFlight> in_flight)
      : name_(std::move(name)), timeout_(timeout), in_flight_(std::move(in_flight)) {
    world.barrier();
    check(MPI_Comm_split(MPI_COMM_WORLD, group, name_.rank, &owned_->comm), "MPI_Comm_split");
    inspect();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::unique_ptr<Work> start_all_to_all(const torch::Tensor& send, torch::Tensor receive,
                                         const AllToAllCounts& counts) override {
    check_all_to_all(send, receive, counts, rank(), size_);
    const torch::NoGradGuard no_grad;
    const torch::Tensor from = send.to(torch::kCPU);
    StagingTensor to(std::move(receive), torch::kCPU);
    const auto item = static_cast<int64_t>(send.element_size());
    const std::vector<int64_t> from_at = offsets_of(counts.send), to_at = offsets_of(counts.receive);
    const auto* source = static_cast<const char*>(from.const_data_ptr());
    auto* target = static_cast<char*>(to->mutable_data_ptr());
    const auto me = static_cast<size_t>(rank());
    return start("all_to_all", {from, *to}, send.numel() * item, to, [&](Requests& requests) {
      for (const size_t peer : peers_of(rank(), size_))
        post_receive(target + to_at[peer] * item, counts.receive[peer] * item, peer, requests);
      for (const size_t peer : peers_of(rank(), size_))
        post_send(source + from_at[peer] * item, counts.send[peer] * item, peer, requests);
      if (counts.receive[me] == 0) return;
      std::memcpy(target + to_at[me] * item, source + from_at[me] * item,
                  static_cast<size_t>(counts.receive[me] * item));
    });
  }

  std::unique_ptr<Work> start_all_gather(torch::Tensor all, const std::vector<int64_t>& counts) override {
    check_all_gather(all, counts, size_);
    const torch::NoGradGuard no_grad;
    StagingTensor staged(std::move(all), torch::kCPU);
    const auto item = static_cast<int64_t>(staged->element_size());
    const std::vector<int64_t> at = offsets_of(counts);
    auto* data = static_cast<char*>(staged->mutable_data_ptr());
    const auto me = static_cast<size_t>(rank());
    return start("all_gather", {*staged}, staged->numel() * item, staged, [&](Requests& requests) {
      for (const size_t peer : peers_of(rank(), size_))
        post_receive(data + at[peer] * item, counts[peer] * item, peer, requests);
      for (const size_t peer : peers_of(rank(), size_))
        post_send(data + at[me] * item, counts[me] * item, peer, requests);
    });
  }

  std::unique_ptr<Work> start_all_reduce(torch::Tensor tensor, ReduceOp op) override {
    check_all_reduce(tensor);
    const torch::NoGradGuard no_grad;
    StagingTensor staged(std::move(tensor), torch::kCPU);
    auto* data = static_cast<char*>(staged->mutable_data_ptr());
    const auto item = static_cast<int64_t>(staged->element_size());
    const MPI_Datatype type = mpi_type(staged->scalar_type());
    return start("all_reduce", {*staged}, staged->numel() * item, staged, [&](Requests& requests) {
      in_chunks(staged->numel(), [&](int64_t offset, int count) {
        check(MPI_Iallreduce(MPI_IN_PLACE, data + offset * item, count, type,
                             op == ReduceOp::sum ? MPI_SUM : MPI_MAX, comm(), &requests.emplace_back()),
              "MPI_Iallreduce");
      });
    });
  }

  void broadcast(torch::Tensor& tensor, int root) override {
    check_contiguous("broadcast", tensor);
    const torch::NoGradGuard no_grad;
    StagingTensor staged(tensor, torch::kCPU);
    auto* data = static_cast<char*>(staged->mutable_data_ptr());
    const auto bytes = static_cast<int64_t>(tensor.nbytes());
    start("broadcast", {*staged}, bytes, staged, [&](Requests& requests) {
      in_chunks(bytes, [&](int64_t offset, int count) {
        check(MPI_Ibcast(data + offset, count, MPI_BYTE, root, comm(), &requests.emplace_back()),
              "MPI_Ibcast");
      });
    })->wait();
  }

  void barrier() override {
    start("barrier", {}, 0, {}, [&](Requests& requests) {
      check(MPI_Ibarrier(comm(), &requests.emplace_back()), "MPI_Ibarrier");
    })->wait();
  }

 private:
  using Requests = std::vector<MPI_Request>;

  void inspect() {
    check(MPI_Comm_set_errhandler(comm(), MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(comm(), &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(comm(), &size_), "MPI_Comm_size");
  }

  // MPI does not reorder messages between two ranks, so one tag is enough.
  void post_receive(char* data, int64_t bytes, size_t peer, Requests& requests) {
    in_chunks(bytes, [&](int64_t offset, int count) {
      check(MPI_Irecv(data + offset, count, MPI_BYTE, static_cast<int>(peer), 0, comm(),
                      &requests.emplace_back()),
            "MPI_Irecv");
    });
  }
  void post_send(const char* data, int64_t bytes, size_t peer, Requests& requests) {
    in_chunks(bytes, [&](int64_t offset, int count) {
      check(MPI_Isend(data + offset, count, MPI_BYTE, static_cast<int>(peer), 0, comm(),
                      &requests.emplace_back()),
            "MPI_Isend");
    });
  }

  template <typename Post>
  std::unique_ptr<Work> start(const char* call, std::vector<torch::Tensor> tensors, int64_t bytes,
                              std::optional<StagingTensor> result, Post&& post) {
    return std::make_unique<MpiWork>(name_, timeout_, *in_flight_,
                                     InFlight::Call{call, std::move(tensors), owned_}, bytes,
                                     std::move(result), std::forward<Post>(post));
  }

  MPI_Comm comm() const { return owned_->comm; }
  void check(int code, const char* call) const { check_mpi(code, name_, std::string("call ") + call); }

  RankName name_;  // among all ranks, for messages
  double timeout_;
  std::shared_ptr<InFlight> in_flight_;
  int rank_ = 0, size_ = 0;
  std::shared_ptr<OwnedComm> owned_ = std::make_shared<OwnedComm>();
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(const RankName& name, double timeout,
                                                    std::shared_ptr<InFlight> in_flight) {
  return std::make_unique<MpiCommunicator>(name, timeout, std::move(in_flight));
}

std::unique_ptr<Communicator> make_mpi_group(Communicator& world, int group, const RankName& name,
                                             double timeout, std::shared_ptr<InFlight> in_flight) {
  return std::make_unique<MpiCommunicator>(world, group, name, timeout, std::move(in_flight));
}

}  // namespace elbo
