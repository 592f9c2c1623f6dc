// Log messages: one line each, on stderr, from rank 0 unless noted otherwise. stdout carries results only
// (the fingerprint line, tables).
#pragma once
#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace elbo::log {

// Enables or disables all output of this process. main() disables it on all ranks but 0.
void set_enabled(bool enabled);

// Lines that do not go to a terminal end with the local time, as [2026-11-27T09:30:00]: programs look for
// messages by their beginning.
void write(std::string_view prefix, std::string_view line);

// The one line that ends a job, "error: …": without the time, since programs look for it by its beginning.
void error(std::string_view line);

template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write("", fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write("warning: ", fmt::format(format, std::forward<Args>(args)...));
}

// The progress line. A terminal redraws it in place, as much of it as fits; a log file gets a plain line at
// most every `interval` seconds. `last` always prints and ends the line.
void progress(std::string_view line, double interval = 10.0, bool last = false);

}  // namespace elbo::log
