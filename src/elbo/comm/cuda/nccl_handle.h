// An NCCL communicator that does not block: calls return at once, and who waits for them asks for their
// state, so that every wait has a limit.
#pragma once
#include <nccl.h>

#include <string>

#include "elbo/comm/wait.h"

namespace elbo {

// A new id by which the ranks of one NCCL world find one another.
ncclUniqueId make_unique_id();

class NcclHandle {
 public:
  NcclHandle(const RankName& name, double timeout) : name_(name), timeout_(timeout) {}
  // Ends the communicator together with the other ranks, or alone where an exception is on its way.
  ~NcclHandle();
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;

  // TreeReducer the world of `id`, on the current device. Collective.
  void join(const ncclUniqueId& id, int size);

  // Waits until NCCL has taken on what `result` began; throws Error with rank, host and call if that fails.
  void wait_for(ncclResult_t result, const Wait& wait) const;

  // Throws Error if a call that runs on the device has failed, here or at another rank.
  void check_running(const Wait& wait) const;

  // Ends the communicator without the other ranks; what runs on the device stops. get() is null from then on.
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
