// How the program fails: one exception type, whose message is the sentence that the user reads.
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace elbo {

// The process's exit status; schedulers and scripts rely on these numbers.
enum class ExitCode : int {
  ok = 0,
  failure = 1,  // anything that is not the user's mistake
  usage = 2,    // a mistake of the user: an option, a file, a value
  stopped = 75  // stopped on request with the state saved: may be started again (EX_TEMPFAIL)
};

// what() is one line: what was tried, on what, what was expected, what to do.
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

// A mistake of the user: exit 2. Name the option, file or value, what was expected and the remedy.
template <typename... Args>
[[noreturn]] void usage_error(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ExitCode::usage, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace elbo
