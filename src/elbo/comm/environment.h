// The MPI environment of the process: initialises and finalises MPI, knows rank, host and local rank, creates
// communicators, and aborts the job when this rank fails. main() creates the only object before anything
// else.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "elbo/base/error.h"
#include "elbo/comm/communicator.h"

namespace elbo {

class Environment {
 public:
  // Initialises MPI if a launcher (mpirun, srun) started this process; otherwise there is one rank, without
  // MPI.
  Environment();
  ~Environment();  // finalises MPI
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  int rank() const;
  int size() const;
  int local_rank() const;  // among the ranks of this host
  int local_size() const;
  const std::string& host() const;
  // Whether every host has the same number of ranks, and consecutive ones (a block): rank = number of the
  // host · local_size() + local_rank().
  bool in_blocks() const;
  int cores() const;  // for this rank, at least 1 (base/cores.h)

  // The communicator of all ranks: make_self_communicator() for one rank, otherwise MPI in host memory, where
  // tensors on a device are staged. `timeout`: of every wait, seconds. Collective.
  std::unique_ptr<Communicator> make_world(double timeout) const;

  // The communicator of the ranks that name the same `group`, in order of rank. Collective over all ranks,
  // whose communicator `world` is.
  std::unique_ptr<Communicator> make_group(Communicator& world, int group, double timeout) const;

  // NCCL on this rank's device (libelbo_cuda); its unique id is broadcast over `mpi`. Collective.
  std::unique_ptr<Communicator> make_nccl_world(Communicator& mpi, torch::Device device,
                                                double timeout) const;

  // Where the last calls of all ranks are written if the job ends because one did not answer.
  void keep_records_in(const std::filesystem::path& folder) const;

  // Prints `error` once per job (with rank and host unless all ranks failed with it), aborts all ranks and
  // returns the exit status of this process. If several ranks fail, the lowest reports; if that
  // one waited too long, it says what the others do.
  int end_job(const Error& error) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elbo
