#include "comm/environment.h"

#include <mpi.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>

#include "base/log.h"
#include "comm/cuda_library.h"
#include "comm/last_words.h"
#include "comm/mpi_check.h"
#include "comm/mpi_communicator.h"
#include "comm/self.h"
#include "comm/start_deadline.h"

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

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "an unnamed host";
  return name.data();
}

}  // namespace

struct Environment::State {
  RankName name{.rank = 0, .host = host_name()};
  int size = 1, local_rank = 0, local_size = 1;
  std::optional<LastWords> last_words;  // once MPI has started
  std::shared_ptr<InFlight> in_flight = std::make_shared<InFlight>();

  void start() {
    const StartDeadline deadline(name.host, launched_rank().value_or(0));
    int threads = MPI_THREAD_SINGLE;
    check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &threads), name, "start MPI");
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
    log::write("error: ", what);
    return status;
  }
  const bool within_call = state_->in_flight->call != nullptr;
  const LastWords::Turn turn = state_->last_words->settle(what, within_call);
  if (!turn.speaks && turn.orderly) return status;
  // Whoever speaks takes the others along, those of other hosts two seconds later; if nobody does in time,
  // this rank must.
  if (!turn.speaks) std::this_thread::sleep_for(std::chrono::seconds(5));
  const bool named =
      turn.alike || what.starts_with("rank ") || (rank() == 0 && error.code() == ExitCode::usage);
  log::write("error: ", named ? what : to_string(state_->name) + ": " + what);
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
