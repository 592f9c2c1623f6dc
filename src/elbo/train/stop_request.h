// A request from outside to stop: Ctrl-C, a closed terminal, a signal of the scheduler. The run completes its
// step, saves itself and exits with 75.
#pragma once
#include "elbo/base/signal_handler.h"

namespace elbo {

// Takes SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU as such requests for as long as it lives,
// unless the process ignores them (nohup). A second SIGINT ends the process at once. Objects share what was
// requested since the first of them was made.
class StopRequest {
 public:
  StopRequest();
  bool made() const;

 private:
  SignalHandler handler_;
};

}  // namespace elbo
