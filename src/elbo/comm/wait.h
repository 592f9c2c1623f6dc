// Waiting for other ranks, with a timeout.
#pragma once
#include <cstdint>
#include <string>

#include "elbo/base/waiting_time.h"

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
  // `call`: the name of the collective; `bytes`: its size; `timeout`: seconds; `number`: the call's in the
  // flight recorder, 0 if it is not recorded.
  Wait(const RankName& who, const char* call, int64_t bytes, double timeout, int64_t number = 0);
  ~Wait();
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;

  // Yields the core, since a host may have more ranks than cores. Throws Error (ExitCode::hang) when the
  // timeout has expired.
  void pause() const;

  // "all_gather of 2.6 MiB"
  std::string what() const;

 private:
  const RankName& who_;
  const char* call_;
  int64_t bytes_;
  double timeout_;
  int64_t number_;
  mutable WaitingTime waited_;
  mutable bool recorded_ = false;  // that this rank waits
};

}  // namespace elbo
