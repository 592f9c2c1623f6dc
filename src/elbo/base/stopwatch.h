// Lap times on the monotonic clock.
#pragma once
#include <chrono>
#include <utility>

namespace elbo {

class Stopwatch {
 public:
  // Seconds since the last lap, or since construction. Starts the next lap.
  double lap() {
    const Clock::time_point now = Clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }
  // The same, without ending the lap.
  double seconds() const { return std::chrono::duration<double>(Clock::now() - last_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_ = Clock::now();
};

}  // namespace elbo
