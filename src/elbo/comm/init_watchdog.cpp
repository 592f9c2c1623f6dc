#include "elbo/comm/init_watchdog.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "elbo/base/error.h"
#include "elbo/base/log.h"

namespace elbo {
namespace {

constexpr double default_seconds = 120;

double timeout_seconds() {
  const char* text = std::getenv("ELBO_START_TIMEOUT");
  const double seconds = text == nullptr ? 0 : std::strtod(text, nullptr);
  return seconds > 0 ? seconds : default_seconds;
}

}  // namespace

InitWatchdog::InitWatchdog(const std::string& host, int rank)
    : watch_([this, host, rank, seconds = timeout_seconds()] {
        // Later on ranks above 0: by then rank 0 has reported and the launcher has ended them.
        const auto limit = std::chrono::duration<double>(seconds + (rank > 0 ? 10 : 0));
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, limit, [this] { return over_; })) return;
        log::set_enabled(true);
        log::error(
            fmt::format("rank {} on {}: MPI did not start within {:g} s: the ranks cannot connect to each "
                        "other; select the network between the hosts, e.g. OMPI_MCA_btl_tcp_if_include="
                        "10.0.0.0/8, or raise ELBO_START_TIMEOUT (seconds) if the start is only slow",
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
