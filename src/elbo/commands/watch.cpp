#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/print.h"
#include "elbo/base/text.h"
#include "elbo/commands/command.h"
#include "elbo/run/run_lines.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct WatchOptions {
  bool once = false;
  double seconds = 2;
  OptionTable table() {
    OptionTable table;
    table.add("once", once, "print once and end, as without a terminal");
    table.add("seconds", seconds, "seconds between two looks at the files", Range::between(0.1, 3600));
    return table;
  }
};

// The lines of a file of JSON that were written since the last call.
class GrowingFile {
 public:
  explicit GrowingFile(fs::path path) : path_(std::move(path)) {}

  // Whether the file became shorter, as after a resume: then all lines follow again.
  bool begins_again() {
    std::error_code error;
    const auto size = static_cast<std::streamoff>(fs::file_size(path_, error));
    if (error || size >= read_) return false;
    read_ = 0;
    return true;
  }

  std::vector<ordered_json> next() {
    std::vector<ordered_json> lines;
    std::ifstream file = open_run_lines(path_);
    file.seekg(read_);
    for (std::string line; std::getline(file, line) && !file.eof();) {
      read_ += static_cast<std::streamoff>(line.size()) + 1;
      if (std::optional<ordered_json> parsed = parse_run_line(line)) lines.push_back(std::move(*parsed));
    }
    return lines;
  }

 private:
  fs::path path_;
  std::streamoff read_ = 0;
};

struct Point {
  double step, value;
};

// 0 where it is missing or not finite.
double number_in(const ordered_json& line, const char* key) {
  const ordered_json value = line.value(key, ordered_json());
  return value.is_number() ? value.get<double>() : 0.0;
}

// What is known of a run so far.
struct Watched {
  std::vector<Point> train, evaluated;
  ordered_json last_train, last_evaluation;
  std::vector<ordered_json> events;
  bool ended = false;

  void add_metrics(const std::vector<ordered_json>& lines) {
    for (const ordered_json& line : lines) {
      const bool is_train = line.value("split", "") == "train";
      (is_train ? last_train : last_evaluation) = line;
      if (line.contains("loss") && line["loss"].is_number())
        (is_train ? train : evaluated).push_back({line["step"].get<double>(), line["loss"].get<double>()});
    }
  }

  void add_events(const std::vector<ordered_json>& lines) {
    for (const ordered_json& line : lines) {
      ended = line.value("event", "") == "ended";
      if (line.value("event", "") != "checkpoint") events.push_back(line);
    }
  }
};

// A character of eight dots, two beside each other in four lines (Unicode, from U+2800).
std::string braille(unsigned dots) {
  const unsigned code = 0x2800U + dots;
  return {static_cast<char>(0xe0U | (code >> 12U)), static_cast<char>(0x80U | ((code >> 6U) & 0x3fU)),
          static_cast<char>(0x80U | (code & 0x3fU))};
}

// The points as `height` lines of `width` characters, with the largest and the least value.
std::vector<std::string> curve_lines(const std::vector<Point>& points, int64_t width, int64_t height) {
  // The first steps are far above all others.
  const size_t skipped = points.size() > 50 ? points.size() / 50 : 0;
  double low = points.back().value, high = low;
  for (size_t i = skipped; i < points.size(); ++i) {
    low = std::min(low, points[i].value);
    high = std::max(high, points[i].value);
  }
  // Steps may go back, where somebody else has written a line.
  const auto [first, last] = std::ranges::minmax(points, {}, &Point::step);
  const double span = std::max(1.0, last.step - first.step);
  const double room = std::max(high / 2 - low / 2, 1e-12);  // halves: the difference may be infinite
  std::vector<std::vector<unsigned>> cells(static_cast<size_t>(height),
                                           std::vector<unsigned>(static_cast<size_t>(width), 0U));
  constexpr unsigned dot_bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
  for (const Point& point : points) {
    const double share = (high / 2 - std::clamp(point.value, low, high) / 2) / room;
    const auto x =
        static_cast<int64_t>((point.step - first.step) / span * static_cast<double>(2 * width - 1));
    const auto y = static_cast<int64_t>(share * static_cast<double>(4 * height - 1));
    cells[static_cast<size_t>(y / 4)][static_cast<size_t>(x / 2)] |= dot_bits[y % 4][x % 2];
  }
  std::vector<std::string> lines;
  lines.reserve(cells.size());
  for (size_t y = 0; y < cells.size(); ++y) {
    std::string line = y == 0                  ? fmt::format("{:>10.4g} ", high)
                       : y + 1 == cells.size() ? fmt::format("{:>10.4g} ", low)
                                               : std::string(11, ' ');
    for (const unsigned cell : cells[y]) line += braille(cell);
    lines.push_back(std::move(line));
  }
  return lines;
}

void add_curve(const std::string& title, const std::vector<Point>& points, std::vector<std::string>& out) {
  if (points.empty()) return;
  const auto width = static_cast<int64_t>(std::clamp<size_t>(terminal_columns(), 40, 160)) - 13;
  out.push_back(fmt::format("{}, steps {:.0f} to {:.0f}", title, points.front().step, points.back().step));
  for (std::string& line : curve_lines(points, width, title == "train loss" ? 10 : 5)) out.push_back(line);
}

// "reconstruction 101.2  kl 20.1"
std::string terms_of(const ordered_json& line) {
  std::vector<std::string> parts;
  const ordered_json terms = line.value("terms", ordered_json::object());
  for (const auto& [name, value] : terms.items())
    if (value.is_number()) parts.push_back(fmt::format("{} {:.5g}", name, value.get<double>()));
  return join(parts, "  ");
}

// Where the time of the last step went, over the ranks.
std::string ranks_of(const ordered_json& line) {
  const ordered_json seconds = line.value("step_seconds", ordered_json::object());
  if (!seconds.contains("compute")) return "";
  const auto milliseconds = [&](const char* key) { return 1000 * number_in(seconds, key); };
  const std::string ranks =
      seconds.contains("slowest_rank")
          ? fmt::format("the slowest rank, {:.0f}, computes {:.2f} ms, the fastest {:.2f} ms",
                        number_in(seconds, "slowest_rank"), milliseconds("compute"), milliseconds("fastest"))
          : fmt::format("one rank computes {:.2f} ms", milliseconds("compute"));
  return fmt::format("a step: {}; exchange {:.2f} ms, update {:.2f} ms; waited {:.2f} s for data in all",
                     ranks, milliseconds("exchange"), milliseconds("update"),
                     number_in(line, "data_wait_seconds"));
}

std::vector<std::string> screen(const std::string& directory, const Watched& run) {
  std::vector<std::string> out;
  if (!run.last_train.is_object()) return {directory + ": no step was reported yet"};
  const ordered_json& last = run.last_train;
  const double loss = run.train.empty() ? std::nan("") : run.train.back().value;
  out.push_back(fmt::format("{}: epoch {:.2f}  step {}  loss {:.5g}  {}  {:.0f} samples/s{}", directory,
                            number_in(last, "epoch"), last.value("step", int64_t{0}), loss, terms_of(last),
                            number_in(last, "samples_per_s"), run.ended ? "  (ended)" : ""));
  if (const std::string ranks = ranks_of(last); !ranks.empty()) out.push_back(ranks);
  add_curve("train loss", run.train, out);
  if (!run.evaluated.empty()) {
    add_curve(run.last_evaluation.value("split", "") + " loss", run.evaluated, out);
    out.push_back(fmt::format("{} after step {}: loss {:.5g}  {}", run.last_evaluation.value("split", ""),
                              run.last_evaluation.value("step", int64_t{0}), run.evaluated.back().value,
                              terms_of(run.last_evaluation)));
  }
  constexpr size_t events_shown = 6;
  const size_t first = run.events.size() > events_shown ? run.events.size() - events_shown : 0;
  for (size_t i = first; i < run.events.size(); ++i) {
    const ordered_json& event = run.events[i];
    std::string line = fmt::format("{}  step {}: {}", event.value("time", ""),
                                   event.value("step", int64_t{0}), event.value("event", ""));
    for (const char* key : {"changes", "to", "lr", "why", "how", "error"})
      if (event.contains(key)) line += fmt::format("  {} {}", key, event[key].dump());
    out.push_back(line);
  }
  return out;
}

ExitCode watch(const Environment& environment, const Words& words) {
  WatchOptions options;
  OptionTable table = options.table();
  const auto line = begin(watch_command(), words, table, 1, 1, "the folder of a run");
  if (!line || environment.rank() != 0) return ExitCode::ok;
  const fs::path directory = line->positional[0];
  if (!fs::exists(directory / "run.ini"))
    usage_error("{}: holds no run.ini; expected the folder of a run that elbo train has made",
                directory.string());
  GrowingFile metrics(directory / "metrics.jsonl"), events(directory / "events.jsonl");
  const bool terminal = ::isatty(STDOUT_FILENO) == 1 && !options.once;
  for (Watched run;; std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds))) {
    if (metrics.begins_again()) run.train.clear(), run.evaluated.clear();
    run.add_metrics(metrics.next());
    run.add_events(events.next());
    std::string page;
    for (const std::string& row : screen(directory.string(), run)) page += printable(row) + "\n";
    if (terminal) std::fputs("\033[H\033[2J", stdout);
    const bool is_written = std::fputs(page.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
    if (!is_written && errno != EPIPE) fail("standard output: {}", std::strerror(errno));
    if (!is_written || !terminal || run.ended) return ExitCode::ok;
  }
}

}  // namespace

Command watch_command() {
  return {"watch", "RUN [--once] [--seconds=2]",
          "shows a run while it trains: curves in characters, its ranks, what happened", watch};
}

}  // namespace elbo
