#include "elbo/train/time_limit.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "elbo/base/log.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr Seconds to_end_processes(5);  // of all ranks, after the checkpoint
constexpr double to_spare = 1.5;
constexpr int64_t far_future = 8'000'000'000;  // in the year 2223

TimeLimit::Clock::duration after(Seconds seconds) {
  return std::chrono::duration_cast<TimeLimit::Clock::duration>(seconds);
}

// None where Slurm does not give it.
std::optional<TimeLimit::Clock::time_point> end_of_slurm_job() {
  const char* const variable = std::getenv("SLURM_JOB_END_TIME");
  if (variable == nullptr) return std::nullopt;
  const std::string_view text = variable;
  int64_t end = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), end);
  // A job without a limit has a time in a far future, or 0.
  if (error != std::errc() || rest != text.data() + text.size() || end <= 0 || end > far_future)
    return std::nullopt;
  const Seconds now = std::chrono::system_clock::now().time_since_epoch();
  return TimeLimit::Clock::now() + after(Seconds(static_cast<double>(end)) - now);
}

}  // namespace

TimeLimit::TimeLimit(const std::string& option, Clock::time_point started) : last_call_(Clock::now()) {
  if (option == "auto")
    end_ = end_of_slurm_job();
  else if (option != "never")
    end_ = started + std::chrono::minutes(std::stoll(option));
}

bool TimeLimit::reached(double save_seconds) {
  if (!end_) return false;
  const std::scoped_lock lock(mutex_);
  const Clock::time_point now = Clock::now();
  longest_ = std::max(longest_, Seconds(now - last_call_));
  last_call_ = now;
  const Seconds left = *end_ - now;
  if (left >= to_spare * (longest_ + Seconds(save_seconds)) + to_end_processes) return reached_;
  if (!std::exchange(reached_, true))
    log::info("{} before the end of its time (run.time_limit) the run stops, as a checkpoint takes up to {}",
              human_duration(std::max(0.0, left.count())), human_duration(save_seconds));
  return true;
}

}  // namespace elbo
