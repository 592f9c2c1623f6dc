#include "elbo/comm/deadline.h"

#include <cstdlib>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/waiting_time.h"

namespace elbo {

Deadline::Deadline(double seconds, const std::string& message)
    : watch_([this, seconds, message] {
        std::unique_lock lock(mutex_);
        if (wait_until(changed_, lock, seconds, [this] { return over_; })) return;
        log::set_enabled(true);
        log::error(message);
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
