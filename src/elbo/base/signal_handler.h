// A handler of signals for as long as an object lives.
#pragma once
#include <csignal>
#include <initializer_list>
#include <utility>
#include <vector>

namespace elbo {

// Installs `handler` for each of the signals, except for those that the process ignores: what nohup or a
// parent process has switched off stays off. The destructor restores the actions that were in place before.
// System calls that a signal interrupts are restarted. Throws Error for a signal that cannot be caught.
class SignalHandler {
 public:
  SignalHandler(std::initializer_list<int> signals, void (*handler)(int));
  ~SignalHandler();
  SignalHandler(const SignalHandler&) = delete;
  SignalHandler& operator=(const SignalHandler&) = delete;

 private:
  void restore();
  std::vector<std::pair<int, struct sigaction>> before_;
};

}  // namespace elbo
