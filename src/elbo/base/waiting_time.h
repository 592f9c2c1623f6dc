// How long this process has waited, for limits of waits. Time in which it did not run does not count: after
// SIGSTOP, a suspended job or a frozen machine it continues as if nothing had been.
#pragma once
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace elbo {

class WaitingTime {
 public:
  // Seconds since construction, of which the time between two calls counts up to half a second: call it
  // several times a second. One thread.
  double seconds();

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_ = Clock::now();
  double seconds_ = 0;
};

// Waits until done() or until `limit` seconds of WaitingTime have passed; whether it is done.
template <typename Predicate>
bool wait_until(std::condition_variable& changed, std::unique_lock<std::mutex>& lock, double limit,
                Predicate&& done) {
  constexpr double slice = 0.1;
  WaitingTime waited;
  while (!changed.wait_for(lock, std::chrono::duration<double>(limit < slice ? limit : slice), done))
    if (waited.seconds() >= limit) return false;
  return true;
}

}  // namespace elbo
