// A timeout for MPI_Init(), which has none: if the hosts cannot connect to each other, it blocks for ever.
#pragma once
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace elbo {

class InitWatchdog {
 public:
  // Unless destroyed within ELBO_START_TIMEOUT seconds (default 120), prints an error and exits with
  // status 1. Rank 0 does so first, and the launcher then ends the others. `rank` is the launcher's.
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
