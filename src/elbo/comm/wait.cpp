#include "elbo/comm/wait.h"

#include <sched.h>

#include <thread>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

std::string to_string(const RankName& name) { return fmt::format("rank {} on {}", name.rank, name.host); }

Wait::Wait(const RankName& who, const char* call, int64_t bytes, double timeout)
    : who_(who), call_(call), bytes_(bytes), timeout_(timeout) {}

void Wait::pause() const {
  // After this time the other ranks are still computing, so the latency of a sleep does not matter.
  constexpr double spin_seconds = 0.1;
  const double waited = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  if (waited > timeout_)
    fail(
        "{} waited {:g} s in {}; another rank did not arrive (it failed, hangs, or needs more time than "
        "that)",
        to_string(who_), timeout_, what());
  if (waited < spin_seconds) {
    ::sched_yield();
  } else {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

std::string Wait::what() const {
  return bytes_ == 0 ? std::string(call_)
                     : fmt::format("{} of {}", call_, human_bytes(static_cast<double>(bytes_)));
}

}  // namespace elbo
