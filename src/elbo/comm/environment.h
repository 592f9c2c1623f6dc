// The process among its peers: starts and ends MPI, knows host and node-local rank, makes the world, and ends
// the whole job when this rank fails. One object, on main's stack, made before anything else.
#pragma once
#include <memory>
#include <string>

#include "elbo/base/error.h"
#include "elbo/comm/communicator.h"

namespace elbo {

class Environment {
 public:
  // Starts MPI if a launcher started this process (mpirun, srun); otherwise there is one rank and MPI is
  // never touched.
  Environment();
  ~Environment();  // ends MPI
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  int rank() const;
  int size() const;
  int local_rank() const;  // among the ranks of this host
  int local_size() const;
  const std::string& host() const;
  // Cores for this rank: those that it may run on (binding, a scheduler's share of the node), each divided by
  // the number of ranks of this host that may run on it, too. At least 1.
  int cores() const;

  // Self for one rank, otherwise MPI in host memory (tensors on a device travel through host memory).
  // `timeout` in seconds bounds every wait.
  std::unique_ptr<Communicator> make_world(double timeout) const;

  // NCCL on this rank's device (libelbo_cuda); `mpi` carries its unique id. Collective.
  std::unique_ptr<Communicator> make_nccl_world(Communicator& mpi, torch::Device device,
                                                double timeout) const;

  // Prints `error` once for the whole job, with rank and host where the world has several, ends all ranks and
  // returns the exit status of this process. Lower ranks speak first: a mistake that every rank meets is told
  // once.
  int end_job(const Error& error) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elbo
