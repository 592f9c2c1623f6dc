#include "elbo/base/waiting_time.h"

#include <algorithm>

namespace elbo {

double WaitingTime::seconds() {
  constexpr double longest_gap = 0.5;
  const Clock::time_point now = Clock::now();
  seconds_ += std::min(longest_gap, std::chrono::duration<double>(now - std::exchange(last_, now)).count());
  return seconds_;
}

}  // namespace elbo
