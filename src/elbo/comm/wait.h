// Waiting for other ranks, with a timeout.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace elbo {

// Identifies a rank in messages.
struct RankName {
  int rank = 0;
  std::string host;
};
std::string to_string(const RankName& name);  // "rank 1 on node7"

// A wait of this rank in a collective call. Usage: while (!done()) wait.pause();
class Wait {
 public:
  // `call`: the name of the collective; `bytes`: its size; `timeout`: seconds.
  Wait(const RankName& who, const char* call, int64_t bytes, double timeout);

  // Yields the core, since a host may have more ranks than cores. Throws Error when the timeout has expired.
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
