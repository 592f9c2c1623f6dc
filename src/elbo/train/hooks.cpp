#include "elbo/train/hooks.h"

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "elbo/base/log.h"
#include "elbo/base/shell_command.h"

namespace elbo {
namespace {

using HookClock = std::chrono::steady_clock;
constexpr std::chrono::seconds longest_end(60);

struct HookCall {
  std::string option, command, json;
};

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
    const pid_t child = is_late() ? -1 : start_in_shell(call.command, call.json, STDERR_FILENO);
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
