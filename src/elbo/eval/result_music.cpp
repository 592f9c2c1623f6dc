// Piano rolls as MIDI files (Standard MIDI Files 1.0, format 0), or as the JSON that elbo convert piano_rolls
// reads.
#include <fmt/format.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "elbo/base/file.h"
#include "elbo/base/text.h"
#include "elbo/eval/result_writer.h"

namespace elbo {
namespace {

constexpr int64_t ticks_of_quarter = 480, ticks_of_step = 240;

void put_big_endian(std::string& to, int64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i)
    to += static_cast<char>(static_cast<uint64_t>(value) >> (8U * static_cast<unsigned>(i)) & 0xffU);
}

// Seven bits a byte; all but the last have the highest bit.
void put_ticks(std::string& to, int64_t ticks) {
  std::string bytes(1, static_cast<char>(ticks % 128));
  for (ticks /= 128; ticks > 0; ticks /= 128)
    bytes.insert(bytes.begin(), static_cast<char>(128 + ticks % 128));
  to += bytes;
}

// Which keys sound at each step, (steps, keys) bool.
class Track {
 public:
  explicit Track(int64_t lowest_key) : lowest_key_(lowest_key) {}

  // A key that sounds in consecutive steps is one note.
  void add(const torch::Tensor& roll) {
    const torch::Tensor pressed = roll.contiguous();
    const auto sounds = pressed.accessor<bool, 2>();
    std::vector<bool> before(static_cast<size_t>(pressed.size(1)), false);
    for (int64_t step = 0; step <= pressed.size(0); ++step, waiting_ += ticks_of_step)
      for (int64_t key = 0; key < pressed.size(1); ++key) {
        const bool now = step < pressed.size(0) && sounds[step][key];
        if (now != before[static_cast<size_t>(key)]) note(now, lowest_key_ + key);
        before[static_cast<size_t>(key)] = now;
      }
  }

  std::string file() {
    std::string events = events_;
    put_ticks(events, waiting_);
    events += std::string("\xff\x2f\0", 3);  // the end
    std::string all = "MThd";
    put_big_endian(all, 6, 4), put_big_endian(all, 0, 2), put_big_endian(all, 1, 2);
    put_big_endian(all, ticks_of_quarter, 2);
    all += "MTrk";
    put_big_endian(all, static_cast<int64_t>(events.size()), 4);
    return all + events;
  }

 private:
  void note(bool begins, int64_t key) {
    constexpr char on = static_cast<char>(0x90), off = static_cast<char>(0x80), velocity = 80;
    put_ticks(events_, waiting_);
    waiting_ = 0;
    events_ += {begins ? on : off, static_cast<char>(key), velocity};
  }

  int64_t lowest_key_, waiting_ = 0;
  std::string events_;
};

std::string json_of(const torch::Tensor& roll, int64_t lowest_key) {
  const torch::Tensor pressed = roll.contiguous();
  const auto sounds = pressed.accessor<bool, 2>();
  std::vector<std::string> steps;
  for (int64_t step = 0; step < pressed.size(0); ++step) {
    std::vector<std::string> pitches;
    for (int64_t key = 0; key < pressed.size(1); ++key)
      if (sounds[step][key]) pitches.push_back(std::to_string(lowest_key + key));
    steps.push_back(fmt::format("[{}]", join(pitches, ", ")));
  }
  return fmt::format("[{}]", join(steps, ", "));
}

class MusicWriter final : public CollectingWriter {
 public:
  explicit MusicWriter(ResultFile file) : CollectingWriter(std::move(file)) {}

 private:
  void write(const ResultRows& all) const override {
    const int64_t lowest = file().description.lowest_key;
    Track track(lowest);
    std::vector<std::string> pieces;
    for (int64_t row = 0; row < all.rows(); ++row) {
      torch::Tensor roll = all.values[file().main][row].gt(file().byte / 2);
      if (roll.dim() > 2) roll = roll[0];
      if (all.length.defined()) roll = roll.narrow(0, 0, all.length[row].item<int64_t>());
      track.add(roll);
      pieces.push_back(json_of(roll, lowest));
    }
    write_file(file().path, file().path.ends_with(".mid")
                                ? track.file()
                                : fmt::format("{{\"train\": [{}]}}\n", join(pieces, ",\n")));
  }
};

}  // namespace

std::unique_ptr<ResultWriter> music_writer(ResultFile file) {
  return std::make_unique<MusicWriter>(std::move(file));
}

}  // namespace elbo
