#include "elbo/base/waiting_time.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace elbo {
namespace {

TEST(WaitingTime, CountsTimeThatPasses) {
  WaitingTime waited;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_GE(waited.seconds(), 0.02);
}

// A process that was stopped has not waited: neither a gap between two looks nor a timed wait counts it.
TEST(WaitingTime, DoesNotCountTimeInWhichTheProcessWasStopped) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    const auto start = std::chrono::steady_clock::now();
    wait_until(never, lock, 1.0, [] { return false; });
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    ::_exit(passed.count() > 2.0 ? 0 : 1);  // the second of waiting, and all but half a second of the stop
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ::kill(child, SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(2000));
  ::kill(child, SIGCONT);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace elbo
