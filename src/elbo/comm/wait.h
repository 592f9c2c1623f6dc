// Waiting for other ranks, with a limit.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace elbo {

// How messages name a rank.
struct RankName {
  int rank = 0;
  std::string host;
};
std::string to_string(const RankName& name);  // "rank 1 on node7"

// One collective call in which this rank waits. Poll like this: while (!done()) wait.pause();
class Wait {
 public:
  // `call` is the collective's name, `bytes` what it moves, `timeout` the limit in seconds.
  Wait(const RankName& who, const char* call, int64_t bytes, double timeout);

  // Lets others have the core for a moment: ranks may be more than cores. Throws Error once the limit is
  // over.
  void pause() const;

  // "all_gather of 2.6 MiB"
  std::string what() const;

 private:
  const RankName& who_;
  const char* call_;
  int64_t bytes_;
  double timeout_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace elbo
