#include "elbo/comm/environment.h"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <thread>
#include <vector>

#include "elbo/base/cores.h"
#include "elbo/base/host.h"
#include "elbo/base/log.h"
#include "elbo/comm/cuda_library.h"
#include "elbo/comm/deadline.h"
#include "elbo/comm/failure_reporting.h"
#include "elbo/comm/host_ranks.h"
#include "elbo/comm/mpi_check.h"
#include "elbo/comm/mpi_communicator.h"
#include "elbo/comm/self.h"
#include "elbo/comm/side_channel.h"

namespace elbo {
namespace {

// The number of processes that the launcher reports.
int launched_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    if (const char* value = std::getenv(name)) return static_cast<int>(std::strtol(value, nullptr, 10));
  return 1;
}

// Seconds for the start of MPI.
double start_timeout() {
  constexpr double default_seconds = 120;
  const char* text = std::getenv("ELBO_START_TIMEOUT");
  const double seconds = text == nullptr ? 0 : std::strtod(text, nullptr);
  return seconds > 0 ? seconds : default_seconds;
}

std::string start_failure(const RankName& name) {
  std::string why;
  for (const RankState& rank : stuck_ranks(name.host)) why += (why.empty() ? "" : "; ") + rank.sentence();
  if (why.empty())
    why =
        "the ranks cannot connect to each other; select the network between the hosts, e.g. "
        "OMPI_MCA_btl_tcp_if_include=10.0.0.0/8, or raise ELBO_START_TIMEOUT (seconds) if the start is only "
        "slow";
  return fmt::format("{}: MPI did not start within {:g} s: {}", to_string(name), start_timeout(), why);
}

// Whether it reports a hang of MPI: the lowest rank that runs. Those after it are ended by the launcher.
bool is_lowest_running(const RankName& name) {
  const std::vector<RankState> stuck = stuck_ranks(name.host);
  for (int rank = 0; rank < name.rank; ++rank)
    if (std::ranges::find(stuck, rank, &RankState::rank) == stuck.end()) return false;
  return true;
}

}  // namespace

struct Environment::State {
  FlightRecorder& recorder = FlightRecorder::instance();  // made first, as it is used until the end
  RankName name{.rank = 0, .host = host_name()};
  int size = 1, cores = cores_of({core_allowance()}, 0);
  HostGroup on_host;
  bool in_blocks = true;
  std::optional<FailureReporting> failure_reporting;  // set once MPI is initialised
  std::shared_ptr<InFlight> in_flight = std::make_shared<InFlight>();
  std::unique_ptr<SideChannel> side_channel;  // from the first communicator of several ranks on
  std::filesystem::path records_folder;       // "": the records are not kept
  double timeout = 0;                         // the longest of the communicators

  void start() {
    name.rank = launched_rank().value_or(0);
    const Deadline deadline(
        start_timeout(), [this] { return start_failure(name); }, [this] { return is_lowest_running(name); });
    // Serialized: LibTorch runs a device's backward pass in a separate thread, and collectives that overlap
    // with it start there.
    int threads = MPI_THREAD_SINGLE;
    check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &threads), name, "initialise MPI");
    if (threads < MPI_THREAD_SERIALIZED)
      usage_error(
          "this MPI library supports calls from one thread only; expected MPI_THREAD_SERIALIZED, which "
          "Open MPI and MPICH provide by default");
    for (const MPI_Comm comm : {MPI_COMM_WORLD, MPI_COMM_SELF})
      check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), name, "set MPI's error handler");
    check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &name.rank), name, "query its rank");
    check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size), name, "query the number of ranks");
    failure_reporting.emplace(name);
    MPI_Comm host = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, name.rank, MPI_INFO_NULL, &host),
              name, "find the ranks of its host");
    check_mpi(MPI_Comm_rank(host, &on_host.local_rank), name, "query its rank on the host");
    check_mpi(MPI_Comm_size(host, &on_host.local_size), name, "query the number of ranks on the host");
    std::vector<CoreAllowance> allowances(static_cast<size_t>(on_host.local_size), core_allowance());
    check_mpi(MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, allowances.data(), sizeof(CoreAllowance),
                            MPI_BYTE, host),
              name, "gather the cores of its host's ranks");
    cores = cores_of(allowances, static_cast<size_t>(on_host.local_rank));
    on_host.first_rank = name.rank;
    check_mpi(MPI_Bcast(&on_host.first_rank, 1, MPI_INT, 0, host), name, "learn the first rank of its host");
    in_blocks = find_blocks();
    check_mpi(MPI_Comm_free(&host), name, "free a communicator");
  }

  // The other ranks see in its record that this one waits for them.
  void end() {
    if (!failure_reporting) return;  // MPI was not started
    const double seconds = timeout > 0 ? timeout : start_timeout();
    const auto message = [&] {
      const std::string why = side_channel ? side_channel->explain(records_folder) : "";
      return fmt::format("{}: MPI did not end within {:g} s: {}", to_string(name), seconds,
                         why.empty() ? "another rank hangs" : why);
    };
    const Deadline deadline(seconds, message, [this] { return is_lowest_running(name); });
    recorder.record().waits_in = recorder.enter("MPI_Finalize", 0);
    failure_reporting->close();
    MPI_Finalize();
  }

  bool find_blocks() const {
    const bool in_order = name.rank == on_host.first_rank + on_host.local_rank;
    // The least of each over all ranks; the second is minus the greatest.
    int numbers[] = {on_host.local_size, -on_host.local_size, in_order ? 1 : 0};
    check_mpi(MPI_Allreduce(MPI_IN_PLACE, numbers, 3, MPI_INT, MPI_MIN, MPI_COMM_WORLD), name,
              "compare the numbers of ranks of the hosts");
    return numbers[0] == -numbers[1] && numbers[2] == 1;
  }
};

Environment::Environment() : state_(std::make_unique<State>()) {
  if (launched_rank()) state_->start();
}

// NOLINTNEXTLINE(bugprone-exception-escape): fmt throws for wrong formats only, and these are constants
Environment::~Environment() { state_->end(); }

int Environment::rank() const { return state_->name.rank; }
int Environment::size() const { return state_->size; }
int Environment::local_rank() const { return state_->on_host.local_rank; }
int Environment::local_size() const { return state_->on_host.local_size; }
int Environment::cores() const { return state_->cores; }
const std::string& Environment::host() const { return state_->name.host; }
bool Environment::in_blocks() const { return state_->in_blocks; }

std::unique_ptr<Communicator> Environment::make_world(double timeout) const {
  if (const int processes = launched_processes(); processes != size())
    usage_error(
        "the launcher started {} processes, but the number of MPI ranks is {}: use the mpirun of the MPI "
        "library that elbo was built with, or srun with --mpi=pmix or --mpi=pmi2, whichever that library "
        "supports",
        processes, size());
  if (size() == 1) return make_self_communicator();
  state_->timeout = std::max(state_->timeout, timeout);
  std::unique_ptr<Communicator> world = make_mpi_communicator(state_->name, timeout, state_->in_flight);
  if (!state_->side_channel)
    state_->side_channel = std::make_unique<SideChannel>(*world, state_->name, state_->on_host);
  return world;
}

void Environment::keep_records_in(const std::filesystem::path& folder) const {
  state_->records_folder = folder;
}

std::unique_ptr<Communicator> Environment::make_group(Communicator& world, int group, double timeout) const {
  if (size() == 1) return make_self_communicator();
  return make_mpi_group(world, group, state_->name, timeout, state_->in_flight);
}

std::unique_ptr<Communicator> Environment::make_nccl_world(Communicator& mpi, torch::Device device,
                                                           double timeout) const {
  const CudaFunctions& cuda = load_cuda(device.is_cpu());
  const std::string id = broadcast_text(mpi, rank() == 0 ? cuda.make_nccl_id() : "", 0);
  return cuda.make_nccl_world(id, state_->name, size(), device, timeout);
}

int Environment::end_job(const Error& error) const {
  const int status = static_cast<int>(error.code());
  std::string what = error.what();
  log::set_enabled(true);
  state_->recorder.record().fails = 1;
  if (size() == 1 || !state_->failure_reporting) {
    log::error(what);
    return status;
  }
  const bool pending_call = !state_->in_flight->calls.empty();
  const bool hang = error.code() == ExitCode::hang;
  const bool lowest = rank() == 0 || (hang && is_lowest_running(state_->name));
  const FailureReporting::Outcome outcome =
      state_->failure_reporting->agree(what, {.pending_call = pending_call, .hang = hang, .lowest = lowest});
  if (!outcome.reports && outcome.can_finalize) return status;
  // The reporting rank aborts the job; ranks of other hosts end about two seconds later. If that takes
  // longer, this rank reports and aborts.
  if (!outcome.reports) std::this_thread::sleep_for(std::chrono::seconds(5));
  const bool named =
      outcome.same_message || what.starts_with("rank ") || (rank() == 0 && error.code() == ExitCode::usage);
  if (!named) what = to_string(state_->name) + ": " + what;
  if (hang && state_->side_channel) {
    const std::string why = state_->side_channel->explain(state_->records_folder);
    if (!why.empty()) what += ": " + why;
  }
  log::error(what);
  if (outcome.can_finalize) return status;
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // lets the launcher forward the message
  // MPI_Abort waits for the launcher's daemon, and the daemon for the launcher: for ever if the network is
  // down.
  std::thread([status] {
    std::this_thread::sleep_for(std::chrono::seconds(5));
    std::_Exit(status);
  }).detach();
  MPI_Abort(MPI_COMM_WORLD, status);
  return status;
}

}  // namespace elbo
