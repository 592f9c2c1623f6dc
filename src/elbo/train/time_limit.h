// The time at which the job ends, known beforehand: run.time_limit, or the end of Slurm's job. Training stops
// so early before it that its last checkpoint is complete.
#pragma once
#include <chrono>
#include <mutex>
#include <optional>
#include <string>

namespace elbo {

class TimeLimit {
 public:
  using Clock = std::chrono::steady_clock;

  // option: run.time_limit, "never", minutes after `started`, or "auto", which is the time that the
  // environment variable SLURM_JOB_END_TIME gives, in seconds since 1970, or never where it is not set.
  TimeLimit(const std::string& option, Clock::time_point started);

  // Whether the run has to stop now: there is no time left for another interval as long as the longest
  // between two calls so far, for a checkpoint that takes `save_seconds`, and half as much to spare. Says so
  // in the log, once. May be called by several threads.
  bool reached(double save_seconds);

 private:
  std::optional<Clock::time_point> end_;
  std::mutex mutex_;
  Clock::time_point last_call_;
  std::chrono::duration<double> longest_{0};
  bool reached_ = false;
};

}  // namespace elbo
