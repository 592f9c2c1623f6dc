// A timeout for calls that have none, such as MPI_Init() and MPI_Finalize(), which block for ever if the
// hosts cannot connect to each other.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace elbo {

class Deadline {
 public:
  // Unless destroyed within `seconds`, prints message() as an error and ends the process with ExitCode::hang.
  // Where !reports(), another process of the job does so: ten seconds later, should that not end this one.
  // Time in which the process did not run does not count.
  Deadline(double seconds, std::function<std::string()> message, std::function<bool()> reports);
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
