#include "elbo/base/log.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <string>

#include "elbo/base/text.h"

namespace elbo::log {
namespace {

// Global, because all messages of a process share one terminal line.
struct State {
  std::mutex mutex;
  bool enabled = true;
  bool line_open = false;  // the terminal shows a progress line without a newline
  bool terminal = ::isatty(STDERR_FILENO) == 1;
  std::chrono::steady_clock::time_point last_progress{};
};

State& state() {
  static State instance;
  return instance;
}

void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

std::string time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "  [%Y-%m-%dT%H:%M:%S]", &local)};
}

// What a message quotes is not trusted: it stays one line, of bounded length, without control characters.
std::string one_line(std::string_view text) {
  constexpr size_t most_bytes = 4000;
  return printable(shortened(text, most_bytes));
}

// Ends the progress line, if there is one. The caller holds the mutex.
void put_line(State& s, const std::string& line) {
  if (!s.enabled) return;
  put(fmt::format("{}{}\n", s.line_open ? "\r\033[K" : "", one_line(line)));
  s.line_open = false;
}

}  // namespace

void set_enabled(bool enabled) { state().enabled = enabled; }

void write(std::string_view prefix, std::string_view line) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  put_line(s, fmt::format("{}{}{}", prefix, line, s.terminal ? "" : time_stamp()));
}

void error(std::string_view line) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  put_line(s, fmt::format("error: {}", line));
}

void progress(std::string_view line, double interval, bool last) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (!s.enabled) return;
  const auto now = std::chrono::steady_clock::now();
  const double elapsed = std::chrono::duration<double>(now - s.last_progress).count();
  if (!last && elapsed < (s.terminal ? 0.1 : interval)) return;
  s.last_progress = now;
  // A line that the terminal wraps would not be drawn in place; its last part is the least important.
  put(s.terminal
          ? fmt::format("\r\033[K{}{}", one_line(line).substr(0, terminal_columns() - 1), last ? "\n" : "")
          : fmt::format("{}{}\n", one_line(line), time_stamp()));
  s.line_open = s.terminal && !last;
}

}  // namespace elbo::log
