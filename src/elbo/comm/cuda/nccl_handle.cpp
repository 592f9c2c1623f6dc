#include "elbo/comm/cuda/nccl_handle.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "elbo/base/error.h"

namespace elbo {

ncclUniqueId make_unique_id() {
  ncclUniqueId id;
  if (const ncclResult_t result = ncclGetUniqueId(&id); result != ncclSuccess)
    fail("NCCL could not create a unique id: {} ({})", ncclGetErrorString(result), ncclGetLastError(nullptr));
  return id;
}

NcclHandle::~NcclHandle() {
  if (comm_ == nullptr) return;
  try {
    if (std::uncaught_exceptions() == 0) {
      const double limit = std::min(timeout_, 10.0);  // the other ranks finalise at the same time
      wait_for(ncclCommFinalize(comm_), Wait(name_, "finalisation of the NCCL communicator", 0, limit));
      ncclCommDestroy(std::exchange(comm_, nullptr));
    }
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch)
    // All results are complete. If a rank is missing here, a later wait for it reports that.
  }
  abort();
}

void NcclHandle::init(const ncclUniqueId& id, int size) {
  const Wait wait(name_, "creation of the NCCL communicator", 0, timeout_);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  wait_for(ncclCommInitRankConfig(&comm_, size, id, name_.rank, &config), wait);
}

void NcclHandle::wait_for(ncclResult_t result, const Wait& wait) const {
  for (; result == ncclInProgress; result = state()) wait.pause();
  if (result != ncclSuccess) fail_in(result, wait);
}

void NcclHandle::check_running(const Wait& wait) const {
  if (const ncclResult_t result = state(); result != ncclSuccess && result != ncclInProgress)
    fail_in(result, wait);
}

void NcclHandle::abort() {
  if (comm_ != nullptr) ncclCommAbort(std::exchange(comm_, nullptr));
}

ncclResult_t NcclHandle::state() const {
  ncclResult_t result = ncclSuccess;
  const ncclResult_t query = ncclCommGetAsyncError(comm_, &result);
  return query == ncclSuccess ? result : query;
}

void NcclHandle::fail_in(ncclResult_t result, const Wait& wait) const {
  fail("{}: NCCL failed in {}: {} ({})", to_string(name_), wait.what(), ncclGetErrorString(result),
       ncclGetLastError(comm_));
}

}  // namespace elbo
