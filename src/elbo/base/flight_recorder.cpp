#include "elbo/base/flight_recorder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>
#include <fstream>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

static_assert(std::atomic<int64_t>::is_always_lock_free);  // so that processes may share one

int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

double seconds_since(int64_t time) { return static_cast<double>(now_ns() - time) * 1e-9; }

std::string name_of(const FlightRecord::Call& call) {
  const int64_t bytes = call.bytes;
  return bytes == 0 ? call.name.get()
                    : fmt::format("{} of {}", call.name.get(), human_bytes(static_cast<double>(bytes)));
}

std::string describe(const FlightRecord::Activity& activity) {
  const std::string what = activity.what.get();
  return what.empty() ? "" : fmt::format("{} for {:.1f} s", what, seconds_since(activity.since));
}

std::string what_it_does(const FlightRecord& record) {
  if (record.waits_for_data > 0) {
    const std::string reader = describe(record.reader);
    return reader.empty() ? "waits for data" : reader;
  }
  const std::string main = describe(record.main);
  const std::string writer = describe(record.writer);
  return main.empty() && !writer.empty() ? writer : main;
}

// The call that was finished last.
const FlightRecord::Call* last_finished(const FlightRecord& record) {
  const FlightRecord::Call* last = nullptr;
  for (const FlightRecord::Call& call : record.ring)
    if (call.left != 0 && (last == nullptr || call.left > last->left)) last = &call;
  return last;
}

}  // namespace

ProcessState process_state(int64_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text;
  std::getline(file, text);
  const size_t end = text.rfind(')');  // the name before it may hold anything
  ProcessState state;
  if (end == std::string::npos || end + 4 >= text.size()) return state;
  state.letter = text[end + 2];
  std::from_chars(text.data() + end + 4, text.data() + text.size(), state.parent);
  return state;
}

void SharedText::set(std::string_view text) {
  std::array<uint64_t, 5> words{};
  std::memcpy(words.data(), text.data(), std::min(text.size(), sizeof words));
  for (size_t i = 0; i < words.size(); ++i) words_[i].store(words[i], std::memory_order_relaxed);
}

std::string SharedText::get() const {
  std::array<uint64_t, 5> words{};
  for (size_t i = 0; i < words.size(); ++i) words[i] = words_[i].load(std::memory_order_relaxed);
  std::string text(sizeof words, '\0');
  std::memcpy(text.data(), words.data(), sizeof words);
  return text.substr(0, text.find('\0'));
}

FlightRecorder::FlightRecorder() : records_{std::make_shared<FlightRecord>()} {
  record().process = ::getpid();
  record().main.what.set("starts");
  record().main.since = now_ns();
}

FlightRecorder& FlightRecorder::instance() {
  static FlightRecorder recorder;
  return recorder;
}

void FlightRecorder::move_to(std::shared_ptr<FlightRecord> memory) {
  memory->rank = record().rank.load();
  memory->process = record().process.load();
  memory->main.what.set(record().main.what.get());
  memory->main.since = record().main.since.load();
  records_.push_back(std::move(memory));
}

int64_t FlightRecorder::enter(std::string_view name, int64_t bytes) {
  const int64_t number = ++record().calls;
  FlightRecord::Call& call = record().ring[static_cast<size_t>(number - 1) % FlightRecord::capacity];
  call.left = 0;
  call.number = number;
  call.name.set(name);
  call.bytes = bytes;
  call.step = record().step.load();
  call.entered = now_ns();
  return number;
}

void FlightRecorder::leave(int64_t number) {
  FlightRecord::Call& call = record().ring[static_cast<size_t>(number - 1) % FlightRecord::capacity];
  if (call.number == number) call.left = now_ns();
}

Doing::Doing(FlightRecord::Activity& activity, std::string_view what)
    : activity_(activity), before_(activity.what.get()), before_since_(activity.since) {
  activity_.since = now_ns();
  activity_.what.set(what);
}

Doing::~Doing() {
  activity_.what.set(before_);
  activity_.since = before_since_;
}

RankState state_of(const FlightRecord& record, const std::string& host) {
  RankState state{.rank = static_cast<int>(record.rank),
                  .host = host,
                  .process = record.process,
                  .state = process_state(record.process).letter,
                  .calls = record.calls,
                  .step = record.step,
                  .waits_in = "",
                  .does = what_it_does(record),
                  .last = "",
                  .fails = record.fails != 0};
  if (const int64_t number = record.waits_in; number != 0) {
    const FlightRecord::Call& call = record.ring[static_cast<size_t>(number - 1) % FlightRecord::capacity];
    state.waits_in = fmt::format("{} for {:.1f} s", name_of(call), seconds_since(call.entered));
  }
  if (const FlightRecord::Call* call = last_finished(record))
    state.last = fmt::format("{}, {:.1f} s ago", name_of(*call), seconds_since(call->left));
  return state;
}

std::string RankState::sentence() const {
  std::string how = fmt::format("rank {} on {} (process {}) ", rank, host, process);
  switch (state) {
    case 'X':
    case 'Z':
      how += "is gone: its process has ended";
      break;
    case 'T':
    case 't':
      how += "is stopped, by a signal or a debugger";
      break;
    case 'D':
      how += "waits for a disk or a network file system";
      break;
    default:
      how += waits_in.empty() ? (does.empty() ? "does not call" : does) : "waits in " + waits_in;
  }
  if ((state == 'T' || state == 't' || state == 'D') && !does.empty()) how += fmt::format(" ({})", does);
  if (step > 0) how += fmt::format(", in step {}", step);
  return last.empty() ? how : fmt::format("{}, after {}", how, last);
}

std::string to_line(const RankState& s) {
  return fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}", s.rank, s.host, s.process, s.state, s.calls,
                     s.step, s.waits_in, s.does, s.last, s.fails ? 1 : 0);
}

RankState state_from_line(const std::string& line) {
  std::vector<std::string> fields(1);
  for (const char c : line) c == '\t' ? static_cast<void>(fields.emplace_back()) : fields.back().push_back(c);
  const auto number = [&](size_t field) {
    int64_t value = 0;
    std::from_chars(fields[field].data(), fields[field].data() + fields[field].size(), value);
    return value;
  };
  if (fields.size() != 10 || fields[3].size() != 1) fail("'{}' is not the state of a rank", line);
  return {.rank = static_cast<int>(number(0)),
          .host = fields[1],
          .process = number(2),
          .state = fields[3][0],
          .calls = number(4),
          .step = number(5),
          .waits_in = fields[6],
          .does = fields[7],
          .last = fields[8],
          .fails = number(9) != 0};
}

std::string ring_text(const FlightRecord& record) {
  std::vector<const FlightRecord::Call*> calls;
  for (const FlightRecord::Call& call : record.ring)
    if (call.number != 0) calls.push_back(&call);
  std::ranges::sort(calls, {}, [](const FlightRecord::Call* call) { return call->number.load(); });
  std::string text;
  for (const FlightRecord::Call* call : calls) {
    const int64_t left = call->left, entered = call->entered;
    text += fmt::format("{} {} step {}, entered {:.6f} s ago, {}\n", call->number.load(), name_of(*call),
                        call->step.load(), seconds_since(entered),
                        left == 0
                            ? "not left"
                            : fmt::format("left after {:.6f} s", static_cast<double>(left - entered) * 1e-9));
  }
  return text;
}

}  // namespace elbo
