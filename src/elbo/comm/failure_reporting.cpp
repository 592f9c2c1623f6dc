#include "elbo/comm/failure_reporting.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "elbo/comm/mpi_check.h"

namespace elbo {
namespace {

// Asks `done` until it says yes or `seconds` are over.
template <typename Question>
bool becomes_true(double seconds, Question&& done) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!done()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace

FailureReporting::FailureReporting(const RankName& name) : name_(name) {
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), name, "make a communicator");
  check_mpi(MPI_Comm_size(comm_, &size_), name, "ask for the number of ranks");
}

void FailureReporting::close() { MPI_Comm_free(&comm_); }

FailureReporting::Turn FailureReporting::settle(const std::string& message, bool within_call) {
  // A second for ranks that meet the same mistake at slightly different times. Then ranks that fail tell
  // those above them, and half a second is ample for that to arrive: whoever fails later than that is gone
  // before its turn comes.
  if (!everyone_fails({std::hash<std::string>{}(message), within_call}, 1.0))
    return {.speaks = !a_lower_rank_fails(0.5)};
  const auto same = [&](const Cause& cause) { return cause.message == causes_.front().message; };
  const auto free = [](const Cause& cause) { return cause.within_call == 0; };
  return {.speaks = name_.rank == 0,
          .alike = std::ranges::all_of(causes_, same),
          .orderly = std::ranges::all_of(causes_, free)};
}

// No call here is checked: the rank fails already, and what cannot be settled is told by this rank itself.
bool FailureReporting::everyone_fails(Cause mine, double seconds) {
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

bool FailureReporting::a_lower_rank_fails(double seconds) {
  for (int above = name_.rank + 1; above < size_; ++above)
    MPI_Isend(nullptr, 0, MPI_BYTE, above, 0, comm_, &notices_.emplace_back());
  return becomes_true(seconds, [&] {
    int heard = 0;
    return MPI_Iprobe(MPI_ANY_SOURCE, 0, comm_, &heard, MPI_STATUS_IGNORE) == MPI_SUCCESS && heard != 0;
  });
}

}  // namespace elbo
