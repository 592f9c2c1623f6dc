// Pieces of music as piano rolls: the keys that sound at each step.
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/convert/format.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace {

constexpr int64_t keys = 88, lowest_key = 21;  // MIDI numbers of the keys of a piano

struct PianoRollsOptions {
  int64_t frames = 0, stride = 0;
  void bind(OptionTable& table) {
    table.add("frames", frames,
              "time steps of a row; longer pieces become several rows; 0: the length of the longest piece",
              Range::between(0, 1000000));
    table.add("stride", stride, "time steps from one row of a piece to the next; 0: the length of a row",
              Range::between(0, 1000000));
  }
};

using Json = nlohmann::json;

Json parse(const std::string& path) {
  try {
    return Json::parse(read_file(path));
  } catch (const Json::exception& error) {
    usage_error("{}: is not JSON ({})", path, error.what());
  }
}

// (steps, 88) uint8, 255 where a key sounds: bytes are scaled to [0, 1] in training (docs/data_format.md).
// `where` names the piece in messages.
torch::Tensor roll_of(const Json& piece, const std::string& where) {
  if (!piece.is_array() || piece.empty()) usage_error("{}: is not a list of steps", where);
  torch::Tensor roll = torch::zeros({static_cast<int64_t>(piece.size()), keys}, torch::kUInt8);
  auto pressed = roll.accessor<uint8_t, 2>();
  for (size_t step = 0; step < piece.size(); ++step) {
    if (!piece[step].is_array()) usage_error("{}, step {}: is not a list of pitches", where, step);
    for (const Json& pitch : piece[step]) {
      const double key = pitch.is_number() ? pitch.get<double>() - lowest_key : -1;
      if (!(key >= 0 && key < keys && key == std::floor(key)))
        usage_error("{}, step {}: holds {}; expected pitches from {} to {}", where, step, pitch.dump(),
                    lowest_key, lowest_key + keys - 1);
      pressed[static_cast<int64_t>(step)][static_cast<int64_t>(key)] = 255;
    }
  }
  return roll;
}

struct Piece {
  std::string split;
  torch::Tensor roll;
};

std::vector<Piece> read_pieces(const std::string& path) {
  const Json all = parse(path);
  if (!all.is_object())
    usage_error("{}: is not an object; expected {{\"train\": [pieces], \"test\": …}}", path);
  std::vector<Piece> pieces;
  for (const auto& [name, list] : all.items()) {
    const std::string split = split_named(name);
    if (split.empty() || !list.is_array())
      usage_error("{}: holds '{}'; expected train, valid or test with a list of pieces", path, name);
    for (size_t i = 0; i < list.size(); ++i)
      pieces.push_back({split, roll_of(list[i], fmt::format("{}, {}, piece {}", path, name, i))});
  }
  if (pieces.empty()) usage_error("{}: holds no pieces", path);
  return pieces;
}

void convert_piano_rolls(const std::vector<std::string>& inputs, const Target& target,
                         const PianoRollsOptions& options) {
  const std::string& path = inputs.front();
  const std::vector<Piece> pieces = read_pieces(path);
  int64_t frames = options.frames;
  if (frames == 0)
    for (const Piece& piece : pieces) frames = std::max(frames, piece.roll.size(0));
  const int64_t stride = options.stride == 0 ? frames : options.stride;
  DatasetWriter out(target, "sequence");
  RowWriter rows(out, {});
  for (const auto& [split, roll] : pieces) {
    for (int64_t first = 0; first < roll.size(0); first += stride) {
      const int64_t steps = std::min(frames, roll.size(0) - first);
      torch::Tensor row = torch::zeros({1, frames, keys}, torch::kUInt8);
      row[0].narrow(0, 0, steps).copy_(roll.narrow(0, first, steps));
      rows.append({{"x", row}, {"length", torch::full({1}, steps, torch::kInt32)}}, split);
      if (first + frames >= roll.size(0)) break;
    }
  }
  rows.finish();
  out.attribute("/", "lowest_key", lowest_key);
  out.commit();
}

}  // namespace

Format piano_rolls_format() {
  return {.name = "piano_rolls",
          .takes = "FILE.json",
          .summary =
              "music as {\"train\": [[[pitch, …] per step, …] per piece, …], \"valid\": …, \"test\": …}; "
              "rows are piano rolls",
          .least = 1,
          .most = 1,
          .bind = with_options(convert_piano_rolls)};
}

}  // namespace elbo
