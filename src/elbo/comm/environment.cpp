#include "elbo/comm/environment.h"

#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>
#include <vector>

#include "elbo/base/host.h"
#include "elbo/base/log.h"
#include "elbo/comm/cuda_library.h"
#include "elbo/comm/failure_reporting.h"
#include "elbo/comm/init_watchdog.h"
#include "elbo/comm/mpi_check.h"
#include "elbo/comm/mpi_communicator.h"
#include "elbo/comm/self.h"

namespace elbo {
namespace {

// mpirun or srun, where one of them started this process, tell each rank its number. A plain process of a
// Slurm batch script, or of srun without MPI, has none.
std::optional<int> launched_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"})
    if (const char* value = std::getenv(name)) return static_cast<int>(std::strtol(value, nullptr, 10));
  return std::nullopt;
}

// How many processes the launcher says that it started.
int launched_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    if (const char* value = std::getenv(name)) return static_cast<int>(std::strtol(value, nullptr, 10));
  return 1;
}

cpu_set_t allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0)
    for (unsigned core = 0; core < std::thread::hardware_concurrency(); ++core) CPU_SET(core, &set);
  return set;
}

// Of the cores on which each rank of a host may run, those that fall to one of the ranks.
int share_of_cores(const std::vector<cpu_set_t>& allowed, int rank) {
  double share = 0;
  for (size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &allowed[static_cast<size_t>(rank)])) continue;
    share += 1.0 / static_cast<double>(std::ranges::count_if(
                       allowed, [core](const cpu_set_t& other) { return CPU_ISSET(core, &other); }));
  }
  return std::max(1, static_cast<int>(share + 1e-9));
}

}  // namespace

struct Environment::State {
  RankName name{.rank = 0, .host = host_name()};
  int size = 1, local_rank = 0, local_size = 1, cores = share_of_cores({allowed_cores()}, 0);
  std::optional<FailureReporting> last_words;  // once MPI has started
  std::shared_ptr<InFlight> in_flight = std::make_shared<InFlight>();

  void start() {
    const InitWatchdog deadline(name.host, launched_rank().value_or(0));
    // One thread at a time: LibTorch runs the backward pass on a device in a thread of its own, and what
    // travels meanwhile is begun there.
    int threads = MPI_THREAD_SINGLE;
    check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &threads), name, "start MPI");
    if (threads < MPI_THREAD_SERIALIZED)
      usage_error(
          "this MPI takes calls from one thread only; expected one with MPI_THREAD_SERIALIZED, as Open MPI "
          "and "
          "MPICH have by default");
    for (const MPI_Comm comm : {MPI_COMM_WORLD, MPI_COMM_SELF})
      check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), name, "set MPI's error handler");
    check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &name.rank), name, "ask for its rank");
    check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size), name, "ask for the number of ranks");
    last_words.emplace(name);
    MPI_Comm host = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, name.rank, MPI_INFO_NULL, &host),
              name, "find the ranks of its host");
    check_mpi(MPI_Comm_rank(host, &local_rank), name, "ask for its rank on the host");
    check_mpi(MPI_Comm_size(host, &local_size), name, "ask for the number of ranks on the host");
    std::vector<cpu_set_t> allowed(static_cast<size_t>(local_size), allowed_cores());
    check_mpi(
        MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, allowed.data(), sizeof(cpu_set_t), MPI_BYTE, host),
        name, "ask on which cores the ranks of its host run");
    cores = share_of_cores(allowed, local_rank);
    check_mpi(MPI_Comm_free(&host), name, "free a communicator");
  }
};

Environment::Environment() : state_(std::make_unique<State>()) {
  if (launched_rank()) state_->start();
}

Environment::~Environment() {
  if (!state_->last_words) return;
  state_->last_words->close();
  MPI_Finalize();
}

int Environment::rank() const { return state_->name.rank; }
int Environment::size() const { return state_->size; }
int Environment::local_rank() const { return state_->local_rank; }
int Environment::local_size() const { return state_->local_size; }
int Environment::cores() const { return state_->cores; }
const std::string& Environment::host() const { return state_->name.host; }

std::unique_ptr<Communicator> Environment::make_world(double timeout) const {
  if (const int processes = launched_processes(); processes != size())
    usage_error(
        "the launcher started {} processes, but MPI knows of {}: use the mpirun of the MPI that elbo was "
        "built "
        "with, or that of srun --mpi=pmix and --mpi=pmi2 which this MPI supports",
        processes, size());
  if (size() == 1) return make_self_communicator();
  return make_mpi_communicator(state_->name, timeout, state_->in_flight);
}

std::unique_ptr<Communicator> Environment::make_nccl_world(Communicator& mpi, torch::Device device,
                                                           double timeout) const {
  const CudaFunctions& cuda = load_cuda(device.is_cpu());
  const std::string id = broadcast_text(mpi, rank() == 0 ? cuda.make_nccl_id() : "", 0);
  return cuda.make_nccl_world(id, state_->name, size(), device, timeout);
}

int Environment::end_job(const Error& error) const {
  const int status = static_cast<int>(error.code());
  const std::string what = error.what();
  log::set_enabled(true);
  if (size() == 1 || !state_->last_words) {
    log::error(what);
    return status;
  }
  const bool within_call = !state_->in_flight->calls.empty();
  const FailureReporting::Turn turn = state_->last_words->settle(what, within_call);
  if (!turn.speaks && turn.orderly) return status;
  // Whoever speaks takes the others along, those of other hosts two seconds later; if nobody does in time,
  // this rank must.
  if (!turn.speaks) std::this_thread::sleep_for(std::chrono::seconds(5));
  const bool named =
      turn.alike || what.starts_with("rank ") || (rank() == 0 && error.code() == ExitCode::usage);
  log::error(named ? what : to_string(state_->name) + ": " + what);
  if (turn.orderly) return status;
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // for the launcher to pass the line on
  // MPI_Abort waits for the launcher's daemon, and that for the launcher: for ever, where the network is
  // gone.
  std::thread([status] {
    std::this_thread::sleep_for(std::chrono::seconds(5));
    std::_Exit(status);
  }).detach();
  MPI_Abort(MPI_COMM_WORLD, status);
  return status;
}

}  // namespace elbo
