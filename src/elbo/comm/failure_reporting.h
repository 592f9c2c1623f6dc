// Failing ranks agree on the one that reports, so that a job ends with one message: that of all ranks if all
// failed with the same one, otherwise that of the lowest rank that failed.
#pragma once
#include <mpi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "elbo/comm/wait.h"

namespace elbo {

class FailureReporting {
 public:
  // Collective. The object must outlive MPI_Finalize(), because pending requests write into it.
  explicit FailureReporting(const RankName& name);
  void close();  // frees the communicator; call before MPI_Finalize()

  struct Outcome {
    bool reports = false;       // this rank prints its message
    bool same_message = false;  // every rank failed, all with the same message
    bool can_finalize = false;  // every rank failed, none with a pending call: no abort is needed
  };

  struct Failure {
    bool pending_call = false;  // MPI still works on a collective of this rank that failed
    bool hang = false;
    bool lowest = false;  // no lower rank can report: there is none, or all of them are stopped or gone
  };
  // Takes at most 1.5 s; after a hang, 0.75 s.
  Outcome agree(const std::string& message, const Failure& failure);

 private:
  struct Cause {
    uint64_t message_hash = 0, pending_call = 0;
  };
  bool all_ranks_fail(Cause mine, double seconds);
  bool lower_rank_fails(double seconds);

  const RankName& name_;
  int size_ = 0;
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::vector<Cause> causes_;          // (size)
  std::vector<MPI_Request> requests_;  // to higher ranks
};

}  // namespace elbo
