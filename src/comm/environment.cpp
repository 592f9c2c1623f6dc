#include "comm/environment.h"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include "base/log.h"
#include "comm/cuda_library.h"
#include "comm/mpi_check.h"
#include "comm/mpi_communicator.h"
#include "comm/self.h"

namespace elbo {
namespace {

// Whether mpirun or srun started this process: they tell each rank its number.
bool launched() {
  constexpr std::array variables{"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"};
  return std::ranges::any_of(variables, [](const char* name) { return std::getenv(name) != nullptr; });
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "an unnamed host";
  return name.data();
}

}  // namespace

struct Environment::State {
  RankName name{.rank = 0, .host = host_name()};
  int size = 1, local_rank = 0, local_size = 1;
  bool started = false;               // MPI
  MPI_Comm failures = MPI_COMM_NULL;  // where failing ranks find one another
  std::vector<uint64_t> causes;       // of each rank; MPI may hold a pointer into it until the end

  void start() {
    int threads = MPI_THREAD_SINGLE;
    check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &threads), name, "start MPI");
    started = true;
    check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), name, "set MPI's error handler");
    check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &name.rank), name, "ask for its rank");
    check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size), name, "ask for the number of ranks");
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &failures), name, "make a communicator");
    MPI_Comm host = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, name.rank, MPI_INFO_NULL, &host),
              name, "find the ranks of its host");
    check_mpi(MPI_Comm_rank(host, &local_rank), name, "ask for its rank on the host");
    check_mpi(MPI_Comm_size(host, &local_size), name, "ask for the number of ranks on the host");
    check_mpi(MPI_Comm_free(&host), name, "free a communicator");
  }

  // What each rank failed with, if all of them fail within `seconds`; empty otherwise.
  std::vector<uint64_t> meet(uint64_t mine, double seconds) {
    causes.assign(static_cast<size_t>(size), mine);
    MPI_Request request = MPI_REQUEST_NULL;
    if (MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, causes.data(), 1, MPI_UINT64_T, failures,
                       &request) != MPI_SUCCESS)
      return {};
    const auto limit = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    for (int done = 0; std::chrono::steady_clock::now() < limit;) {
      if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return {};
      if (done != 0) return causes;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return {};
  }
};

Environment::Environment() : state_(std::make_unique<State>()) {
  if (launched()) state_->start();
}

Environment::~Environment() {
  if (!state_->started) return;
  MPI_Comm_free(&state_->failures);
  MPI_Finalize();
}

int Environment::rank() const { return state_->name.rank; }
int Environment::size() const { return state_->size; }
int Environment::local_rank() const { return state_->local_rank; }
int Environment::local_size() const { return state_->local_size; }
const std::string& Environment::host() const { return state_->name.host; }

std::unique_ptr<Communicator> Environment::make_world(double timeout) const {
  if (size() == 1) return make_self_communicator();
  return make_mpi_communicator(state_->name, timeout);
}

std::unique_ptr<Communicator> Environment::make_nccl_world(Communicator& mpi, torch::Device device,
                                                           double timeout) const {
  const CudaFunctions& cuda = load_cuda(device.is_cpu());
  const std::string id = broadcast_text(mpi, rank() == 0 ? cuda.make_nccl_id() : "", 0);
  return cuda.make_nccl_world(id, rank(), size(), device, timeout);
}

int Environment::end_job(const Error& error) const {
  const int status = static_cast<int>(error.code());
  const std::string what = error.what();
  log::set_enabled(true);
  if (size() == 1) {
    log::write("error: ", what);
    return status;
  }
  // A mistake that every rank meets is told once, and the job ends in order. Otherwise the lowest rank that
  // failed speaks, since the others are gone before their turn comes, and takes everybody along.
  const std::vector<uint64_t> causes = state_->meet(std::hash<std::string>{}(what), 1.5);
  const bool named = what.starts_with("rank ") || (rank() == 0 && error.code() == ExitCode::usage);
  const std::string prefixed = named ? what : to_string(state_->name) + ": " + what;
  if (!causes.empty()) {
    const bool alike = std::ranges::all_of(causes, [&](uint64_t cause) { return cause == causes.front(); });
    if (rank() == 0) log::write("error: ", alike ? what : prefixed);
    return status;
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(std::min(20 * rank(), 1000)));
  log::write("error: ", prefixed);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // for the launcher to pass the line on
  MPI_Abort(MPI_COMM_WORLD, status);
  return status;
}

}  // namespace elbo
