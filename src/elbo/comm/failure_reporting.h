// How ranks that fail settle which one of them tells the user, so that a job ends with one message: the
// message of all where all met the same mistake, else that of the lowest rank that failed.
#pragma once
#include <mpi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "elbo/comm/wait.h"

namespace elbo {

class FailureReporting {
 public:
  // Collective over all ranks. Keep it until MPI has ended: MPI may still write into it.
  explicit FailureReporting(const RankName& name);
  void close();  // before MPI ends

  struct Turn {
    bool speaks = false;   // this rank tells the user
    bool alike = false;    // every rank failed, all with the same message
    bool orderly = false;  // every rank failed, none within a call: each may end by itself
  };

  // Takes at most 1.5 s. `within_call`: MPI still works on a call that failed.
  Turn settle(const std::string& message, bool within_call);

 private:
  struct Cause {
    uint64_t message = 0, within_call = 0;
  };
  bool everyone_fails(Cause mine, double seconds);
  bool a_lower_rank_fails(double seconds);

  const RankName& name_;
  int size_ = 0;
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::vector<Cause> causes_;         // (size)
  std::vector<MPI_Request> notices_;  // to the ranks above
};

}  // namespace elbo
