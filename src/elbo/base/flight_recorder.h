// What each rank did last, in memory that the ranks of a host may share: when nothing moves, any of them can
// say who did not arrive and what it does, also for a rank that is stopped or gone.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

// A short text in shared memory. Writers and readers may be different processes; a text that is read while it
// changes may be a mixture of both.
class SharedText {
 public:
  void set(std::string_view text);  // the first 40 bytes
  std::string get() const;

 private:
  std::array<std::atomic<uint64_t>, 5> words_{};
};

// The record of a rank. All members may be read by other processes while it changes; times are nanoseconds of
// CLOCK_MONOTONIC, which the processes of a host share, and 0 before they are known.
struct FlightRecord {
  static constexpr size_t capacity = 64;

  struct Call {
    std::atomic<int64_t> number{0}, bytes{0}, step{0}, entered{0}, left{0};
    SharedText name;
  };
  // What a thread of the rank does.
  struct Activity {
    SharedText what;  // "" for nothing
    std::atomic<int64_t> since{0};
  };

  std::atomic<int64_t> rank{0}, process{0};
  std::atomic<int64_t> calls{0};           // made so far; call n is at calls_[(n - 1) % capacity]
  std::atomic<int64_t> step{0};            // that is being computed
  std::atomic<int64_t> waits_in{0};        // number of the call that the rank waits for, 0: none
  std::atomic<int64_t> waits_for_data{0};  // workers that do
  std::atomic<int64_t> fails{0};           // 1: the rank ends the job with an error
  Activity main, reader, writer;
  std::array<Call, capacity> ring;
};

// The record of this process. It is process-wide, as every layer adds to it.
class FlightRecorder {
 public:
  static FlightRecorder& instance();

  FlightRecord& record() { return *records_.back(); }
  // From now on the record is in `memory`, where a FlightRecord was constructed. Call it while no other
  // thread adds to the record.
  void move_to(std::shared_ptr<FlightRecord> memory);

  // The begin and end of a call of the communicators; enter() returns its number.
  int64_t enter(std::string_view name, int64_t bytes);
  void leave(int64_t call);

 private:
  FlightRecorder();
  std::vector<std::shared_ptr<FlightRecord>> records_;  // the last is in use; a Doing may refer to another
};

// Says what a thread does for as long as the object lives.
class Doing {
 public:
  Doing(FlightRecord::Activity& activity, std::string_view what);
  ~Doing();
  Doing(const Doing&) = delete;
  Doing& operator=(const Doing&) = delete;

 private:
  FlightRecord::Activity& activity_;
  std::string before_;
  int64_t before_since_;
};

// A process in /proc: the letter of its state, 'X' if there is no such process, and its parent.
struct ProcessState {
  char letter = 'X';
  int64_t parent = 0;
};
ProcessState process_state(int64_t process);

// How a rank is, as another process of its host sees it.
struct RankState {
  int rank = 0;
  std::string host;
  int64_t process = 0;
  char state = '?';   // of the process, as in /proc/PID/stat; 'X' if it has ended
  int64_t calls = 0;  // made
  int64_t step = 0;
  std::string waits_in;  // "all_to_all of 2.6 MiB for 3.2 s", or ""
  std::string does;      // "computes gradients for 3.2 s", …
  std::string last;      // "all_gather of 2.6 MiB, 3.2 s ago"
  bool fails = false;    // it ends the job with an error

  bool dead() const { return std::string_view("XZTt").find(state) != std::string_view::npos; }
  // The rank is not where the others wait for it.
  bool late() const { return dead() || (waits_in.empty() && !fails); }
  std::string sentence() const;  // "rank 2 on node7 (process 4711) is stopped …"
};

RankState state_of(const FlightRecord& record, const std::string& host);
std::string to_line(const RankState& state);
RankState state_from_line(const std::string& line);  // throws Error
// The ring in lines: number, name, bytes, step, seconds ago, seconds that it took.
std::string ring_text(const FlightRecord& record);

}  // namespace elbo
