// A limit for MPI's own start, whose calls wait for other ranks without one: where hosts cannot reach each
// other, for ever.
#pragma once
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace elbo {

class InitWatchdog {
 public:
  // Unless destroyed within ELBO_START_TIMEOUT seconds (120), ends the process with exit status 1 and a
  // sentence. Rank 0 speaks first, and the launcher ends the others then; `rank` is what the launcher says.
  InitWatchdog(const std::string& host, int rank);
  ~InitWatchdog();
  InitWatchdog(const InitWatchdog&) = delete;
  InitWatchdog& operator=(const InitWatchdog&) = delete;

 private:
  bool over_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread watch_;
};

}  // namespace elbo
