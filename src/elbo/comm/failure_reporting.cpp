#include "elbo/comm/failure_reporting.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "elbo/comm/mpi_check.h"

namespace elbo {
namespace {

// Polls `done` for up to `seconds`; whether it returned true.
template <typename Predicate>
bool becomes_true(double seconds, Predicate&& done) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!done()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace

FailureReporting::FailureReporting(const RankName& name) : name_(name) {
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), name, "duplicate MPI_COMM_WORLD");
  check_mpi(MPI_Comm_size(comm_, &size_), name, "query the number of ranks");
}

void FailureReporting::close() { MPI_Comm_free(&comm_); }

FailureReporting::Outcome FailureReporting::agree(const std::string& message, const Failure& failure) {
  // One second for ranks that fail with the same error at slightly different times. Then each failing rank
  // notifies the higher ranks, which takes far less than half a second. A rank that fails later is aborted
  // before it reports. After a hang, the ranks that wait fail at once, and one does not fail.
  const Cause mine{std::hash<std::string>{}(message), failure.pending_call ? 1U : 0U};
  if (!all_ranks_fail(mine, failure.hang ? 0.25 : 1.0))
    return {.reports = !lower_rank_fails(failure.lowest ? 0.05 : 0.5)};
  const auto same = [&](const Cause& cause) { return cause.message_hash == causes_.front().message_hash; };
  const auto idle = [](const Cause& cause) { return cause.pending_call == 0; };
  return {.reports = name_.rank == 0,
          .same_message = std::ranges::all_of(causes_, same),
          .can_finalize = std::ranges::all_of(causes_, idle)};
}

// MPI errors are ignored here: the rank fails anyway, and without an agreement it reports its own message.
bool FailureReporting::all_ranks_fail(Cause mine, double seconds) {
  causes_.assign(static_cast<size_t>(size_), mine);
  MPI_Request request = MPI_REQUEST_NULL;
  if (MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, causes_.data(), 2, MPI_UINT64_T, comm_, &request) !=
      MPI_SUCCESS)
    return false;
  return becomes_true(seconds, [&] {
    int done = 0;
    return MPI_Test(&request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done != 0;
  });
}

bool FailureReporting::lower_rank_fails(double seconds) {
  for (int rank = name_.rank + 1; rank < size_; ++rank)
    MPI_Isend(nullptr, 0, MPI_BYTE, rank, 0, comm_, &requests_.emplace_back());
  return becomes_true(seconds, [&] {
    int arrived = 0;
    return MPI_Iprobe(MPI_ANY_SOURCE, 0, comm_, &arrived, MPI_STATUS_IGNORE) == MPI_SUCCESS && arrived != 0;
  });
}

}  // namespace elbo
