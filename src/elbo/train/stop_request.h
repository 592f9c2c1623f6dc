// A wish to stop that comes from outside: Ctrl-C, a scheduler's SIGTERM or SIGUSR1. The run goes on to the
// end of its step, saves itself and exits with 75.
#pragma once

namespace elbo {

// Takes SIGINT, SIGTERM and SIGUSR1 as such wishes for as long as it lives. A second SIGINT ends the process
// at once.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;
  bool made() const;
};

}  // namespace elbo
