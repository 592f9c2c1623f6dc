#include "elbo/base/signal_handler.h"

#include <gtest/gtest.h>

#include <csignal>

#include "elbo/base/error.h"

namespace elbo {
namespace {

volatile std::sig_atomic_t caught = 0, caught_before = 0;
void note(int) { caught = caught + 1; }
void note_before(int) { caught_before = caught_before + 1; }

void (*action_of(int signal))(int) {
  struct sigaction action = {};
  ::sigaction(signal, nullptr, &action);
  return action.sa_handler;
}

TEST(SignalHandler, CatchesItsSignalsAndRestoresTheActionBefore) {
  std::signal(SIGUSR2, note_before);
  {
    const SignalHandler handler({SIGUSR1, SIGUSR2}, note);
    std::raise(SIGUSR1);
    std::raise(SIGUSR2);
    EXPECT_EQ(caught, 2);
    EXPECT_EQ(caught_before, 0);
  }
  EXPECT_EQ(action_of(SIGUSR1), SIG_DFL);
  EXPECT_EQ(action_of(SIGUSR2), note_before);
  std::signal(SIGUSR2, SIG_DFL);
}

TEST(SignalHandler, LeavesAnIgnoredSignalIgnored) {
  std::signal(SIGHUP, SIG_IGN);
  {
    const SignalHandler handler({SIGHUP}, note);
    EXPECT_EQ(action_of(SIGHUP), SIG_IGN);
  }
  EXPECT_EQ(action_of(SIGHUP), SIG_IGN);
  std::signal(SIGHUP, SIG_DFL);
}

TEST(SignalHandler, RestoresTheOthersWhereOneCannotBeCaught) {
  EXPECT_THROW(SignalHandler({SIGUSR1, SIGKILL}, note), Error);
  EXPECT_EQ(action_of(SIGUSR1), SIG_DFL);
}

}  // namespace
}  // namespace elbo
