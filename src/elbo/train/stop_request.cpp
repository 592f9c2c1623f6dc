#include "elbo/train/stop_request.h"

#include <csignal>

namespace elbo {
namespace {

// A signal handler reaches only a variable of static storage.
volatile std::sig_atomic_t request = 0;

void note_request(int signal) {
  request = 1;
  if (signal == SIGINT) std::signal(SIGINT, SIG_DFL);
}

}  // namespace

StopRequest::StopRequest() : handler_({SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU}, note_request) {}

bool StopRequest::made() const { return request != 0; }

}  // namespace elbo
