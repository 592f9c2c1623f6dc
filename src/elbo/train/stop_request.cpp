#include "elbo/train/stop_request.h"

#include <array>
#include <csignal>

namespace elbo {
namespace {

constexpr std::array stop_signals{SIGINT, SIGTERM, SIGUSR1};

// A signal handler reaches nothing but a variable of static storage.
volatile std::sig_atomic_t request = 0;

void note(int signal) {
  request = 1;
  if (signal == SIGINT) std::signal(SIGINT, SIG_DFL);
}

void handle_all(void (*handler)(int)) {
  for (const int signal : stop_signals) {
    struct sigaction action = {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(signal, &action, nullptr);
  }
}

}  // namespace

StopRequest::StopRequest() {
  request = 0;
  handle_all(note);
}

StopRequest::~StopRequest() { handle_all(SIG_DFL); }

bool StopRequest::made() const { return request != 0; }

}  // namespace elbo
