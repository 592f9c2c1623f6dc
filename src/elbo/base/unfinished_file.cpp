#include "elbo/base/unfinished_file.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <string>

namespace elbo {
namespace {

enum class State { free, taken, known };

struct Slot {
  std::atomic<State> state = State::free;
  std::array<char, 4096> path;
};

// A signal handler reaches only variables of static storage, and may take no lock.
std::array<Slot, 64> slots;
static_assert(std::atomic<State>::is_always_lock_free);

void remove_and_end(int signal) {
  for (const Slot& slot : slots)
    if (slot.state == State::known) ::unlink(slot.path.data());
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

size_t slot_with(const std::string& path) {
  size_t index = path.size() < slots[0].path.size() ? 0 : slots.size();
  for (; index < slots.size(); ++index) {
    State expected = State::free;
    if (!slots[index].state.compare_exchange_strong(expected, State::taken)) continue;
    std::memcpy(slots[index].path.data(), path.c_str(), path.size() + 1);
    slots[index].state = State::known;
    break;
  }
  return index;
}

}  // namespace

RemovalOnSignals::RemovalOnSignals()
    : handler_({SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU}, remove_and_end) {}

UnfinishedFile::UnfinishedFile(const std::filesystem::path& path) : slot_(slot_with(path)) {}

UnfinishedFile::~UnfinishedFile() {
  if (slot_ < slots.size()) slots[slot_].state = State::free;
}

}  // namespace elbo
