#include "elbo/comm/deadline.h"

#include <cstdlib>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/waiting_time.h"

namespace elbo {

Deadline::Deadline(double seconds, std::function<std::string()> message, std::function<bool()> reports)
    : watch_([this, seconds, message = std::move(message), reports = std::move(reports)] {
        constexpr double patience = 10;
        const auto is_over = [this] { return over_; };
        std::unique_lock lock(mutex_);
        if (wait_until(changed_, lock, seconds, is_over)) return;
        if (!reports() && wait_until(changed_, lock, patience, is_over)) return;
        log::set_enabled(true);
        log::error(message());
        std::_Exit(static_cast<int>(ExitCode::hang));
      }) {}

Deadline::~Deadline() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_one();
  watch_.join();
}

}  // namespace elbo
