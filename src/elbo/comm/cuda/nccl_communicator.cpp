#include "elbo/comm/cuda/nccl_communicator.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cstring>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/flight_recorder.h"
#include "elbo/comm/arguments.h"
#include "elbo/comm/cuda/device.h"
#include "elbo/comm/cuda/nccl_handle.h"

namespace elbo {
namespace {

ncclDataType_t nccl_type(torch::ScalarType type) {
  switch (type) {
    case torch::kFloat32:
      return ncclFloat32;
    case torch::kFloat64:
      return ncclFloat64;
    case torch::kInt64:
      return ncclInt64;
    case torch::kInt32:
      return ncclInt32;
    case torch::kUInt8:
      return ncclUint8;
    default:
      fail("NCCL cannot reduce tensors of type {}", torch::toString(type));
  }
}

// A group of NCCL calls; end() returns its first error. Sizes of sends, receives and broadcasts are in bytes.
class Group {
 public:
  Group(ncclComm_t comm, cudaStream_t stream) : comm_(comm), stream_(stream) { keep_error(ncclGroupStart()); }

  void send(const char* data, int64_t bytes, size_t peer) {
    if (bytes > 0)
      keep_error(
          ncclSend(data, static_cast<size_t>(bytes), ncclUint8, static_cast<int>(peer), comm_, stream_));
  }
  void receive(char* data, int64_t bytes, size_t peer) {
    if (bytes > 0)
      keep_error(
          ncclRecv(data, static_cast<size_t>(bytes), ncclUint8, static_cast<int>(peer), comm_, stream_));
  }
  void broadcast(void* data, size_t bytes, int root) {
    if (bytes > 0) keep_error(ncclBroadcast(data, data, bytes, ncclUint8, root, comm_, stream_));
  }
  void all_reduce(void* data, int64_t count, ncclDataType_t type, ncclRedOp_t op) {
    if (count > 0)
      keep_error(ncclAllReduce(data, data, static_cast<size_t>(count), type, op, comm_, stream_));
  }

  // Submits the group; ncclInProgress if NCCL has not enqueued it yet.
  ncclResult_t end() {
    keep_error(ncclGroupEnd());
    return result_;
  }

 private:
  void keep_error(ncclResult_t result) {
    if (result_ == ncclSuccess || result_ == ncclInProgress) result_ = result;
  }

  ncclComm_t comm_;
  cudaStream_t stream_;
  ncclResult_t result_ = ncclSuccess;
};

// A group of calls that NCCL has enqueued.
class NcclWork final : public Work {
 public:
  NcclWork(NcclHandle& nccl, const RankName& name, double timeout, const char* call, int64_t bytes,
           torch::Tensor sent, StagingTensor result, torch::Device device, cudaStream_t stream)
      : nccl_(nccl),
        name_(name),
        timeout_(timeout),
        call_(call),
        bytes_(bytes),
        number_(FlightRecorder::instance().enter(call, bytes)),
        sent_(std::move(sent)),
        result_(std::move(result)),
        end_(device) {
    end_.record(stream);
  }

  // Aborts an incomplete call: otherwise destructors that synchronise with the device could block for ever.
  ~NcclWork() override {
    if (!done_) nccl_.abort();
  }
  NcclWork(const NcclWork&) = delete;
  NcclWork& operator=(const NcclWork&) = delete;

  bool done() override { return poll(Wait(name_, call_, bytes_, timeout_)); }

  void wait() override {
    const Wait wait(name_, call_, bytes_, timeout_, number_);
    while (!poll(wait)) wait.pause();
  }

 private:
  bool poll(const Wait& wait) {
    if (done_) return true;
    if (nccl_.get() == nullptr)
      fail("{}: {} on an NCCL communicator that has already failed", to_string(name_), wait.what());
    const cudaError_t state = end_.query();
    if (state == cudaErrorNotReady) {
      nccl_.check_running(wait);
      return false;
    }
    if (state != cudaSuccess)
      fail("{}: the CUDA device failed in {}: {}", to_string(name_), wait.what(), cudaGetErrorString(state));
    done_ = true;
    FlightRecorder::instance().leave(number_);
    result_.copy_back();
    return true;
  }

  NcclHandle& nccl_;
  const RankName& name_;
  double timeout_;
  const char* call_;
  int64_t bytes_, number_;
  torch::Tensor sent_;  // keeps the memory that the device reads
  StagingTensor result_;
  CudaEvent end_;
  bool done_ = false;
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(const ncclUniqueId& id, RankName name, int size, torch::Device device, double timeout)
      : name_(std::move(name)),
        size_(size),
        device_(device),
        timeout_(timeout),
        nccl_(name_, timeout),
        stream_(device) {
    const c10::DeviceGuard guard(device_);
    nccl_.init(id, size);
  }

  int rank() const override { return name_.rank; }
  int size() const override { return size_; }

  std::unique_ptr<Work> start_all_to_all(const torch::Tensor& send, torch::Tensor receive,
                                         const AllToAllCounts& counts) override {
    check_all_to_all(send, receive, counts, rank(), size_);
    const torch::NoGradGuard no_grad;
    const torch::Tensor from = send.to(device_).view({-1});
    StagingTensor to(std::move(receive), device_);
    const auto item = static_cast<int64_t>(send.element_size());
    const std::vector<int64_t> from_at = offsets_of(counts.send), to_at = offsets_of(counts.receive);
    const auto* source = static_cast<const char*>(from.const_data_ptr());
    auto* target = static_cast<char*>(to->mutable_data_ptr());
    const auto me = static_cast<size_t>(rank());
    if (counts.receive[me] > 0)
      to->view({-1})
          .narrow(0, to_at[me], counts.receive[me])
          .copy_(from.narrow(0, from_at[me], counts.send[me]));
    return start("all_to_all", send.numel() * item, from, to, [&](Group& group) {
      for (const size_t peer : peers_of(rank(), size_)) {
        group.send(source + from_at[peer] * item, counts.send[peer] * item, peer);
        group.receive(target + to_at[peer] * item, counts.receive[peer] * item, peer);
      }
    });
  }

  std::unique_ptr<Work> start_all_gather(torch::Tensor all, const std::vector<int64_t>& counts) override {
    check_all_gather(all, counts, size_);
    const torch::NoGradGuard no_grad;
    StagingTensor staged(std::move(all), device_);
    const auto item = static_cast<int64_t>(staged->element_size());
    const std::vector<int64_t> at = offsets_of(counts);
    auto* data = static_cast<char*>(staged->mutable_data_ptr());
    const auto me = static_cast<size_t>(rank());
    return start("all_gather", staged->numel() * item, {}, staged, [&](Group& group) {
      for (const size_t peer : peers_of(rank(), size_)) {
        group.send(data + at[me] * item, counts[me] * item, peer);
        group.receive(data + at[peer] * item, counts[peer] * item, peer);
      }
    });
  }

  std::unique_ptr<Work> start_all_reduce(torch::Tensor tensor, ReduceOp op) override {
    check_all_reduce(tensor);
    const auto bytes = static_cast<int64_t>(tensor.nbytes());
    return reduce("all_reduce", bytes, std::move(tensor), op);
  }

  void broadcast(torch::Tensor& tensor, int root) override {
    check_contiguous("broadcast", tensor);
    const torch::NoGradGuard no_grad;
    StagingTensor staged(tensor, device_);
    start("broadcast", static_cast<int64_t>(tensor.nbytes()), {}, staged, [&](Group& group) {
      group.broadcast(staged->mutable_data_ptr(), tensor.nbytes(), root);
    })->wait();
  }

  void barrier() override { reduce("barrier", 0, torch::zeros({1}, torch::kInt32), ReduceOp::sum)->wait(); }

 private:
  std::unique_ptr<Work> reduce(const char* call, int64_t bytes, torch::Tensor tensor, ReduceOp op) {
    const torch::NoGradGuard no_grad;
    StagingTensor staged(std::move(tensor), device_);
    return start(call, bytes, {}, staged, [&](Group& group) {
      group.all_reduce(staged->mutable_data_ptr(), staged->numel(), nccl_type(staged->scalar_type()),
                       op == ReduceOp::sum ? ncclSum : ncclMax);
    });
  }

  // Submits one group and waits until NCCL has enqueued it. The device runs it concurrently with LibTorch's
  // kernels.
  template <typename Post>
  std::unique_ptr<Work> start(const char* call, int64_t bytes, torch::Tensor sent,
                              const StagingTensor& result, Post&& post) {
    const Wait wait(name_, call, bytes, timeout_);
    if (nccl_.get() == nullptr)
      fail("{}: {} on an NCCL communicator that has already failed", to_string(name_), wait.what());
    const c10::DeviceGuard guard(device_);
    try {
      const cudaStream_t stream = stream_.wait_for_current();
      Group group(nccl_.get(), stream);
      post(group);
      nccl_.wait_for(group.end(), wait);
      return std::make_unique<NcclWork>(nccl_, name_, timeout_, call, bytes, std::move(sent), result, device_,
                                        stream);
    } catch (...) {
      nccl_.abort();
      throw;
    }
  }

  RankName name_;
  int size_;
  torch::Device device_;
  double timeout_;
  NcclHandle nccl_;
  CommStream stream_;
};

}  // namespace

std::string make_nccl_id() {
  const ncclUniqueId id = make_unique_id();
  return {id.internal, sizeof id.internal};
}

std::unique_ptr<Communicator> make_nccl_world(const std::string& id, const RankName& name, int size,
                                              torch::Device device, double timeout) {
  ncclUniqueId unique;
  if (id.size() != sizeof unique.internal)
    fail("{}: the NCCL unique id has {} bytes; expected {}", to_string(name), id.size(),
         sizeof unique.internal);
  std::memcpy(unique.internal, id.data(), id.size());
  return std::make_unique<NcclCommunicator>(unique, name, size, device, timeout);
}

}  // namespace elbo
