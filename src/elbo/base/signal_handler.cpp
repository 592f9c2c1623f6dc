#include "elbo/base/signal_handler.h"

#include <cerrno>
#include <cstring>

#include "elbo/base/error.h"

namespace elbo {

SignalHandler::SignalHandler(std::initializer_list<int> signals, void (*handler)(int)) {
  for (const int signal : signals) {
    struct sigaction before = {}, action = {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    if (::sigaction(signal, &action, nullptr) != 0) {
      const int error = errno;
      restore();
      fail("signal {} cannot be caught: {}", signal, std::strerror(error));
    }
    before_.emplace_back(signal, before);
  }
}

SignalHandler::~SignalHandler() { restore(); }

void SignalHandler::restore() {
  for (const auto& [signal, before] : before_) ::sigaction(signal, &before, nullptr);
}

}  // namespace elbo
