#include "elbo/comm/wait.h"

#include <sched.h>

#include <chrono>
#include <thread>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/flight_recorder.h"
#include "elbo/base/text.h"

namespace elbo {

std::string to_string(const RankName& name) { return fmt::format("rank {} on {}", name.rank, name.host); }

Wait::Wait(const RankName& who, const char* call, int64_t bytes, double timeout, int64_t number)
    : who_(who), call_(call), bytes_(bytes), timeout_(timeout), number_(number) {}

Wait::~Wait() {
  if (recorded_) FlightRecorder::instance().record().waits_in = 0;
}

void Wait::pause() const {
  // After this time the other ranks are still computing, so the latency of a sleep does not matter.
  constexpr double spin_seconds = 0.1;
  const double waited = waited_.seconds();
  if (waited > timeout_)
    fail_hanging(
        "{} waited {:g} s in {}; another rank did not arrive (it failed, hangs, or needs more time than "
        "that)",
        to_string(who_), timeout_, what());
  if (waited < spin_seconds) {
    ::sched_yield();
  } else {
    if (!std::exchange(recorded_, true)) FlightRecorder::instance().record().waits_in = number_;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

std::string Wait::what() const {
  return bytes_ == 0 ? std::string(call_)
                     : fmt::format("{} of {}", call_, human_bytes(static_cast<double>(bytes_)));
}

}  // namespace elbo
