// Errors: one exception type, whose message is the sentence that the user reads.
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace elbo {

// The process's exit status; schedulers and scripts rely on these numbers.
enum class ExitCode : int {
  ok = 0,
  failure = 1,  // any failure that is not a user error
  usage = 2,    // a user error: an option, a file, a value
  hang = 69,    // a rank, a disk or a device did not answer within run.timeout (EX_UNAVAILABLE)
  stopped = 75  // stopped on request after a checkpoint: can be resumed (EX_TEMPFAIL)
};

// what() is one line: what failed, on what, what was expected, what to do.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

// A failure of the machine, a library or the program itself: exit 1.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ExitCode::failure, fmt::format(format, std::forward<Args>(args)...));
}

// Somebody did not answer in time: exit 69. The message says who waited, and how long for what.
template <typename... Args>
[[noreturn]] void fail_hanging(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ExitCode::hang, fmt::format(format, std::forward<Args>(args)...));
}

// A user error: exit 2. The message names the option, file or value, what was expected and the remedy.
template <typename... Args>
[[noreturn]] void usage_error(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ExitCode::usage, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace elbo
