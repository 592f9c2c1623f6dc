// A nonblocking NCCL communicator: calls return at once, and waits poll their state, so that every wait has a
// timeout.
#pragma once
#include <nccl.h>

#include <string>

#include "elbo/comm/wait.h"

namespace elbo {

// The unique id that the ranks of a new communicator share (ncclGetUniqueId).
ncclUniqueId make_unique_id();

class NcclHandle {
 public:
  NcclHandle(const RankName& name, double timeout) : name_(name), timeout_(timeout) {}
  // Finalises the communicator together with the other ranks; aborts it during stack unwinding.
  ~NcclHandle();
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;

  // Creates the communicator of `id` on the current device. Collective.
  void init(const ncclUniqueId& id, int size);

  // Waits while `result` is ncclInProgress. Throws Error with rank, host and call if the call failed.
  void wait_for(ncclResult_t result, const Wait& wait) const;

  // Throws Error if an enqueued call has failed, here or on another rank.
  void check_running(const Wait& wait) const;

  // Aborts the communicator and its work on the device, without the other ranks. Afterwards get() is null.
  void abort();

  ncclComm_t get() const { return comm_; }

 private:
  ncclResult_t state() const;
  [[noreturn]] void fail_in(ncclResult_t result, const Wait& wait) const;

  const RankName& name_;
  double timeout_;
  ncclComm_t comm_ = nullptr;
};

}  // namespace elbo
