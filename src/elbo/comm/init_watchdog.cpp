#include "elbo/comm/init_watchdog.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "elbo/base/error.h"
#include "elbo/base/log.h"

namespace elbo {
namespace {

constexpr double usual_seconds = 120;

double seconds_to_start() {
  const char* said = std::getenv("ELBO_START_TIMEOUT");
  const double seconds = said == nullptr ? 0 : std::strtod(said, nullptr);
  return seconds > 0 ? seconds : usual_seconds;
}

}  // namespace

InitWatchdog::InitWatchdog(const std::string& host, int rank)
    : watch_([this, host, rank, seconds = seconds_to_start()] {
        // Ranks above 0 come later, so that the launcher has ended them when 0 has spoken.
        const auto limit = std::chrono::duration<double>(seconds + (rank > 0 ? 10 : 0));
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, limit, [this] { return over_; })) return;
        log::set_enabled(true);
        log::error(
            fmt::format("rank {} on {}: MPI did not start within {:g} s, because ranks do not reach one "
                        "another; name the network that joins the hosts, as in OMPI_MCA_btl_tcp_if_include="
                        "10.0.0.0/8, or give a slow start more time with ELBO_START_TIMEOUT",
                        rank, host, seconds));
        std::_Exit(static_cast<int>(ExitCode::failure));
      }) {}

InitWatchdog::~InitWatchdog() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_one();
  watch_.join();
}

}  // namespace elbo
