#include "elbo/eval/gif.h"

#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/file.h"

namespace elbo {
namespace {

constexpr int64_t reds = 6, greens = 7, blues = 6;
constexpr unsigned color_bits = 8;

void put16(std::string& to, int64_t value) {
  to += static_cast<char>(value % 256);
  to += static_cast<char>(value / 256);
}

char level(int64_t step, int64_t steps) { return static_cast<char>(step * 255 / (steps - 1)); }

std::string palette(bool grey) {
  std::string colors;
  for (int64_t i = 0; i < 256; ++i) {
    const bool used = i < reds * greens * blues;
    const int64_t red = i / (greens * blues), green = i / blues % greens, blue = i % blues;
    if (grey) {
      colors.append(3, static_cast<char>(i));
    } else if (used) {
      colors += {level(red, reds), level(green, greens), level(blue, blues)};
    } else {
      colors.append(3, '\0');
    }
  }
  return colors;
}

// (height, width, channels) uint8 → a number of the palette for each pixel.
std::vector<uint8_t> colors_of(const torch::Tensor& frame) {
  const torch::Tensor values = frame.to(torch::kFloat32);
  torch::Tensor numbers = values.select(2, 0);
  if (frame.size(2) == 3) {
    const auto step = [&](int64_t channel, int64_t steps) {
      return (values.select(2, channel) * (static_cast<double>(steps - 1) / 255)).round();
    };
    numbers = (step(0, reds) * greens + step(1, greens)) * blues + step(2, blues);
  }
  const torch::Tensor bytes = numbers.to(torch::kUInt8).contiguous();
  const auto* data = bytes.const_data_ptr<uint8_t>();
  return {data, data + bytes.numel()};
}

// Codes of growing width, least significant bits first.
class CodeStream {
 public:
  void put(uint32_t code, unsigned width) {
    bits_ |= static_cast<uint64_t>(code) << count_;
    for (count_ += width; count_ >= 8; count_ -= 8, bits_ >>= 8U) bytes_ += static_cast<char>(bits_ & 0xffU);
  }
  // In blocks of up to 255 bytes.
  std::string blocks() {
    if (count_ > 0) bytes_ += static_cast<char>(bits_ & 0xffU);
    std::string all;
    for (size_t begin = 0; begin < bytes_.size(); begin += 255) {
      const std::string block = bytes_.substr(begin, 255);
      all += static_cast<char>(block.size());
      all += block;
    }
    return all + '\0';
  }

 private:
  std::string bytes_;
  uint64_t bits_ = 0;
  unsigned count_ = 0;
};

// Welch 1984, as GIF uses it.
std::string compressed(const std::vector<uint8_t>& pixels) {
  constexpr uint32_t clear = 1U << color_bits, end = clear + 1, most = 4096;
  CodeStream out;
  std::unordered_map<uint32_t, uint32_t> codes;  // of a known text and a color after it
  uint32_t next = end + 1;
  unsigned width = color_bits + 1;
  out.put(clear, width);
  uint32_t text = pixels.front();
  for (size_t i = 1; i < pixels.size(); ++i) {
    const uint32_t longer = text << color_bits | pixels[i];
    if (const auto known = codes.find(longer); known != codes.end()) {
      text = known->second;
      continue;
    }
    out.put(text, width);
    text = pixels[i];
    if (next == most) {
      out.put(clear, width);
      codes.clear();
      next = end + 1;
      width = color_bits + 1;
      continue;
    }
    if (next == 1U << width) ++width;
    codes[longer] = next++;
  }
  out.put(text, width);
  out.put(end, width);
  return out.blocks();
}

}  // namespace

void write_gif(const std::filesystem::path& path, const torch::Tensor& frames, double seconds) {
  constexpr int64_t most = 65535;
  const int64_t height = frames.size(1), width = frames.size(2);
  if (height > most || width > most)
    usage_error("{}: {} by {} pixels do not fit in a GIF; expected fewer rows (--n)", path.string(), width,
                height);
  std::string file = "GIF89a";
  put16(file, width), put16(file, height);
  file += {static_cast<char>(0xf7), '\0', '\0'};  // 256 colors
  file += palette(frames.size(3) == 1);
  file += std::string("\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0", 19);  // repeated for ever
  for (const torch::Tensor& frame : frames.unbind(0)) {
    file += std::string("\x21\xf9\x04\0", 4);
    put16(file, std::lround(seconds * 100));
    file += std::string("\0\0\x2c\0\0\0\0", 7);
    put16(file, width), put16(file, height);
    file += {'\0', static_cast<char>(color_bits)};
    file += compressed(colors_of(frame));
  }
  write_file(path, file + ';');
}

}  // namespace elbo
