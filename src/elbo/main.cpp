// The environment, the table of commands, and the only catch.
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/library_error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/base/unfinished_file.h"
#include "elbo/base/version.h"
#include "elbo/comm/environment.h"
#include "elbo/commands/command.h"
#include "elbo/train/stop_request.h"

namespace elbo {
namespace {

void print_overview() {
  fmt::print(
      "elbo {}: trains variational autoencoders, on one core or on many machines\n\nusage: elbo COMMAND "
      "…\n\n",
      version());
  const size_t width = terminal_columns();
  for (const Command& command : all_commands())
    fmt::print("{}", hanging("  " + command.name, command.summary, 15, width));
  fmt::print("\nelbo COMMAND --help lists its options. All commands also run under mpirun -n P.\n");
}

Command find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : all_commands()) {
    if (command.name == name) return command;
    names.push_back(command.name);
  }
  const std::string nearest = nearest_name(name, names);
  usage_error("{}: unknown command{}; elbo --help lists them", name,
              nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest));
}

ExitCode run(const Environment& environment, std::vector<std::string> words) {
  const bool speaks = environment.rank() == 0;
  if (words.empty()) usage_error("no command is named; elbo --help lists them");
  if (words.front() == "--version") {
    if (speaks) fmt::print("elbo {}\n", version());
    return ExitCode::ok;
  }
  const bool asks_for_help = words.front() == "--help" || words.front() == "-h" || words.front() == "help";
  if (asks_for_help && words.size() == 1) {
    if (speaks) print_overview();
    return ExitCode::ok;
  }
  if (asks_for_help) words = {words[1], "--help"};
  const Command command = find_command(words.front());
  words.erase(words.begin());
  const bool help =
      std::ranges::any_of(words, [](const auto& word) { return word == "--help" || word == "-h"; });
  if (help && !speaks) return ExitCode::ok;
  return command.run(environment, words);
}

// Whether fmt::print() failed because nobody reads stdout any more (elbo models | head).
bool is_closed_pipe(const std::exception& error) {
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  return system != nullptr && system->code() == std::errc::broken_pipe;
}

// As the shell expects it of a program whose output is no longer read.
void end_by_closed_pipe() {
  std::signal(SIGPIPE, SIG_DFL);
  std::raise(SIGPIPE);
}

// Starts MPI and runs the command. Every exception of the program ends here.
int guarded_run(const std::vector<std::string>& words) {
  // Requests to stop count before training begins, and do not spoil the exit code after it has ended.
  std::optional<StopRequest> stop;
  std::optional<RemovalOnSignals> removal;
  if (!words.empty() && words.front() == "train")
    stop.emplace();
  else
    removal.emplace();
  std::optional<Environment> environment;
  const auto end_job = [&](const Error& error) {
    if (environment) return environment->end_job(error);
    log::error(error.what());  // MPI did not start: no other rank can be reached
    return static_cast<int>(error.code());
  };
  try {
    environment.emplace();
    log::set_enabled(environment->rank() == 0);
    return static_cast<int>(run(*environment, words));
  } catch (const Error& error) {
    return end_job(error);
  } catch (const std::exception& error) {
    if (is_closed_pipe(error)) end_by_closed_pipe();
    return end_job(describe_library_error(error));
  }
}

// Every microbatch makes and drops the same tensors of a megabyte or two. By default malloc gives such memory
// back to the system and has it zeroed again each time: a fifth of a step on some ranks, nothing on others.
void keep_freed_memory() {
  constexpr int largest = 32 << 20;  // what malloc itself serves, at most; larger blocks are the system's
  ::mallopt(M_MMAP_THRESHOLD, largest);
  ::mallopt(M_TRIM_THRESHOLD, 16 * largest);
}

// A data set may have thousands of files, all open at once. The soft limit of open files is usually 1024, for
// the sake of programs that use select(); a process may raise it to the hard one.
void allow_many_open_files() {
  constexpr rlim_t enough = 1 << 20;  // unlimited is more than the system has
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, enough);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // without it, opening a file too many says what to do
}

// Ends without LibTorch's taking its tables of operators apart, which lasts as long as many a command. All
// else has been closed by now.
[[noreturn]] void end_process(int code) {
  const bool is_written = std::fflush(stdout) == 0 || errno == EPIPE;  // a reader may leave
  if (!is_written && code == 0) {
    log::error(fmt::format("standard output: {}", std::strerror(errno)));
    code = static_cast<int>(ExitCode::failure);
  }
  std::_Exit(code);
}

}  // namespace
}  // namespace elbo

// Read by jemalloc, where the program is linked to it: tensors are in huge pages, which matrix kernels and
// copies between ranks read faster.
extern "C" const char* malloc_conf;
const char* malloc_conf = "thp:always";

// NOLINTNEXTLINE(bugprone-exception-escape): fmt throws for wrong formats only, and these are constants
int main(int argc, char** argv) {
  elbo::keep_freed_memory();
  elbo::allow_many_open_files();
  std::signal(SIGPIPE, SIG_IGN);  // a log that nobody reads ends nothing
  std::signal(SIGXFSZ, SIG_IGN);  // a file larger than is allowed fails like a full disk, with a sentence
  // Threads are workers: no library may split a kernel. Read when LibTorch and OpenMP start.
  ::setenv("OMP_NUM_THREADS", "1", 1);
  // With a separate work space for each stream, cuBLAS adds in one order. Read when a GPU is first used.
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  at::set_num_threads(1);
  elbo::end_process(elbo::guarded_run({argv + 1, argv + argc}));
}
