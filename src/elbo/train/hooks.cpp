#include "elbo/train/hooks.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <string_view>
#include <thread>

#include "elbo/base/log.h"

namespace elbo {
namespace {

using HookClock = std::chrono::steady_clock;
constexpr std::chrono::seconds longest_end(60);

struct HookCall {
  std::string option, command, json;
};

// A file without a name that holds the text, at its beginning; -1 where there cannot be one.
int file_with(std::string_view text) {
  const int descriptor = ::memfd_create("elbo hook", MFD_CLOEXEC);
  while (descriptor >= 0 && !text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.remove_prefix(static_cast<size_t>(count));
  }
  if (descriptor >= 0) ::lseek(descriptor, 0, SEEK_SET);
  return descriptor;
}

// The process, or -1 with errno.
pid_t start_command(const HookCall& call) {
  const int input = file_with(call.json);
  if (input < 0) return -1;
  std::string shell = "sh", flag = "-c", command = call.command;
  std::array<char*, 4> words{shell.data(), flag.data(), command.data(), nullptr};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t child = -1;
  const int error = ::posix_spawn(&child, "/bin/sh", &actions, nullptr, words.data(), ::environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(input);
  errno = error;
  return error == 0 ? child : -1;
}

void warn_of_status(const HookCall& call, int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    log::warning("{}={}: ended with status {}; training continues", call.option, call.command,
                 WEXITSTATUS(status));
  if (WIFSIGNALED(status))
    log::warning("{}={}: was ended by signal {}; training continues", call.option, call.command,
                 WTERMSIG(status));
}

}  // namespace

struct Hooks::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<HookCall> waiting;
  bool ends = false;
  HookClock::time_point deadline = HookClock::time_point::max();
  std::thread thread;

  bool is_late() {
    const std::lock_guard lock(mutex);
    return HookClock::now() > deadline;
  }

  void run_calls() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return ends || !waiting.empty(); });
      if (waiting.empty()) return;
      const HookCall call = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      run_call(call);
      lock.lock();
    }
  }

  void run_call(const HookCall& call) {
    const pid_t child = is_late() ? -1 : start_command(call);
    if (child < 0) {
      log::warning("{}={}: was not run: {}", call.option, call.command,
                   is_late() ? "the commands before it take too long" : std::strerror(errno));
      return;
    }
    for (int status = 0;; std::this_thread::sleep_for(std::chrono::milliseconds(20))) {
      const pid_t ended = ::waitpid(child, &status, WNOHANG);
      if (ended == child) return warn_of_status(call, status);
      if (ended < 0) return;
      if (is_late())
        return log::warning("{}={}: still runs, elbo does not wait longer", call.option, call.command);
    }
  }
};

Hooks::Hooks() : state_(std::make_unique<State>()) {}

Hooks::~Hooks() {
  if (!state_->thread.joinable()) return;
  {
    const std::lock_guard lock(state_->mutex);
    state_->ends = true;
    state_->deadline = HookClock::now() + longest_end;
  }
  state_->changed.notify_one();
  state_->thread.join();
}

void Hooks::run(const std::string& option, const std::string& command, const std::string& json) {
  if (command.empty()) return;
  const std::lock_guard lock(state_->mutex);
  state_->waiting.push_back({option, command, json});
  if (!state_->thread.joinable())
    state_->thread = std::thread([state = state_.get()] { state->run_calls(); });
  state_->changed.notify_one();
}

}  // namespace elbo
