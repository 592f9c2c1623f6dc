// A timeout for calls that have none, such as MPI_Init() and MPI_Finalize(), which block for ever if the
// hosts cannot connect to each other.
#pragma once
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace elbo {

class Deadline {
 public:
  // Unless destroyed within `seconds`, prints the message as an error and ends the process with
  // ExitCode::hang. Time in which the process did not run does not count.
  Deadline(double seconds, const std::string& message);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

 private:
  bool over_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread watch_;
};

}  // namespace elbo
