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

  // Takes at most 1.5 s, or 0.75 s after a hang. pending_call: MPI still works on a collective of this rank
  // that failed.
  Outcome agree(const std::string& message, bool pending_call, bool hang);

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
