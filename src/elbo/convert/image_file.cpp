#include "elbo/convert/image_file.h"

#include <fmt/format.h>
#include <png.h>
#include <torch/types.h>
#include <turbojpeg.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>
#include <tuple>

#include "elbo/base/error.h"
#include "elbo/base/file.h"

namespace elbo {
namespace {

constexpr int64_t most_pixels = int64_t{64} * 1000 * 1000;

[[noreturn]] void damaged(const std::string& path, const std::string& reason) {
  usage_error("{}: is damaged or not an image ({}); repair it, or leave it out", path, reason);
}

void check_size(const std::string& path, int64_t height, int64_t width) {
  if (height < 1 || width < 1) damaged(path, fmt::format("it claims {} x {} pixels", height, width));
  if (height > most_pixels / width)
    usage_error("{}: has {} x {} pixels; expected at most {} million", path, height, width,
                most_pixels / 1000000);
}

// (height, width, 4) bytes: red, green, blue, alpha.
torch::Tensor read_png(const std::string& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, decltype(&png_image_free)> owner(&image, png_image_free);
  if (png_image_begin_read_from_file(&image, path.c_str()) == 0) damaged(path, image.message);
  check_size(path, image.height, image.width);
  image.format = PNG_FORMAT_RGBA;
  image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  torch::Tensor pixels = torch::empty({image.height, image.width, 4}, torch::kUInt8);
  if (png_image_finish_read(&image, nullptr, pixels.mutable_data_ptr<uint8_t>(), 0, nullptr) == 0)
    damaged(path, image.message);
  return pixels;
}

// How a camera was held: 1 to 8, as in the table of the tag Orientation (Exif 2.3, section 4.6.4); 1 where
// the file does not say.
int64_t orientation_of(std::string_view jpeg) {
  const auto byte = [&](size_t place) {
    return place < jpeg.size() ? size_t{static_cast<unsigned char>(jpeg[place])} : 0;
  };
  // Segments: 0xff, a marker, and two bytes of length with these two.
  for (size_t place = 2; place + 10 < jpeg.size() && byte(place) == 0xff && byte(place + 1) != 0xda;
       place += 2 + byte(place + 2) * 256 + byte(place + 3)) {
    if (byte(place + 1) != 0xe1 || jpeg.substr(place + 4, 6) != std::string_view("Exif\0\0", 6)) continue;
    const size_t tiff = place + 10;
    const bool little = byte(tiff) == 'I';
    const auto number = [&](size_t at, size_t bytes) {
      size_t value = 0;
      for (size_t i = 0; i < bytes; ++i) value = value * 256 + byte(at + (little ? bytes - 1 - i : i));
      return value;
    };
    const size_t directory = tiff + number(tiff + 4, 4), entries = number(directory, 2);
    for (size_t entry = directory + 2; entry < directory + 2 + 12 * entries; entry += 12)
      if (constexpr size_t tag = 0x0112; number(entry, 2) == tag) {
        const size_t value = number(entry + 8, 2);
        return value >= 1 && value <= 8 ? static_cast<int64_t>(value) : 1;
      }
  }
  return 1;
}

// (height, width, colours) as it was stored → as it is to be seen.
torch::Tensor upright(const torch::Tensor& pixels, int64_t orientation) {
  torch::Tensor turned = orientation < 5 ? pixels : pixels.transpose(0, 1);
  switch (orientation) {
    case 2:
    case 6:
      return turned.flip(1);
    case 3:
    case 7:
      return turned.flip({0, 1});
    case 4:
    case 8:
      return turned.flip(0);
    default:
      return turned;
  }
}

// (height, width, 3) bytes.
torch::Tensor read_jpeg(const std::string& path) {
  const std::string bytes = read_file(path);
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const std::unique_ptr<void, decltype(&tjDestroy)> decoder(tjInitDecompress(), tjDestroy);
  if (!decoder) fail("libjpeg-turbo could not be started: {}", tjGetErrorStr2(nullptr));
  int width = 0, height = 0, sampling = 0, colours = 0;
  if (tjDecompressHeader3(decoder.get(), data, bytes.size(), &width, &height, &sampling, &colours) != 0)
    damaged(path, tjGetErrorStr2(decoder.get()));
  check_size(path, height, width);
  const bool inks = colours == TJCS_CMYK || colours == TJCS_YCCK;
  torch::Tensor pixels = torch::empty({height, width, inks ? 4 : 3}, torch::kUInt8);
  // For a truncated file the library returns a warning and fills the missing part.
  if (tjDecompress2(decoder.get(), data, bytes.size(), pixels.mutable_data_ptr<uint8_t>(), width, 0, height,
                    inks ? TJPF_CMYK : TJPF_RGB, TJFLAG_ACCURATEDCT) != 0)
    damaged(path, tjGetErrorStr2(decoder.get()));
  if (inks)  // stored inverted, as Adobe's programs do: 0 is all of the ink
    pixels =
        (pixels.narrow(2, 0, 3).to(torch::kFloat32) * pixels.narrow(2, 3, 1) / 255).round().to(torch::kUInt8);
  return upright(pixels, orientation_of(bytes));
}

// (width, height) that the header of a BMP or PNM file claims; zeros if it is cut short.
std::pair<int64_t, int64_t> claimed_size(const std::string& head) {
  if (head.starts_with("BM")) {
    const auto number = [&](size_t place, size_t bytes) {
      uint32_t value = 0;
      for (size_t i = 0; i < bytes && place + i < head.size(); ++i)
        value |= uint32_t{static_cast<unsigned char>(head[place + i])} << (8 * i);
      return int64_t{static_cast<int32_t>(value)};
    };
    const size_t bytes = number(14, 4) == 12 ? 2 : 4;  // of OS/2 1, or of Windows
    return {number(18, bytes), std::abs(number(18 + bytes, bytes))};
  }
  std::istringstream words(head.substr(2));
  std::array<int64_t, 2> size{};
  std::string word;
  for (size_t i = 0; i < size.size() && words >> word;) {
    if (word.starts_with('#')) {
      std::getline(words, word);
    } else {
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), size.at(i));
      if (error != std::errc() || end != word.data() + word.size()) break;
      ++i;
    }
  }
  return {size[0], size[1]};
}

// BMP and PNM: (height, width, 3) bytes.
torch::Tensor read_uncompressed(const std::string& path, const std::string& head) {
  const auto [claimed_width, claimed_height] = claimed_size(head);
  check_size(path, claimed_height, claimed_width);
  const bool grey =
      head.starts_with("P5") || head.starts_with("P2");  // of 16 bits, they are read as nothing else
  int width = 0, height = 0, format = grey ? TJPF_GRAY : TJPF_RGB;
  const std::unique_ptr<unsigned char, decltype(&tjFree)> bytes(
      tjLoadImage(path.c_str(), &width, 1, &height, &format, 0), tjFree);
  if (!bytes) damaged(path, tjGetErrorStr2(nullptr));
  const torch::Tensor pixels = torch::from_blob(bytes.get(), {height, width, grey ? 1 : 3}, torch::kUInt8);
  return pixels.expand({height, width, 3}).clone();
}

std::string first_bytes(const std::string& path) {
  std::string head(1024, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(file.gcount()));
  return head;
}

// The kind of an image that is not read, by its first bytes; "" for anything else.
std::string other_kind(const std::string& head) {
  using namespace std::string_literals;
  const auto has = [&](size_t place, const std::string& bytes) {
    return head.size() >= place + bytes.size() && head.compare(place, bytes.size(), bytes) == 0;
  };
  if (has(0, "GIF8")) return "GIF";
  if (has(0, "II*\0"s) || has(0, "MM\0*"s)) return "TIFF";
  if (has(0, "RIFF") && has(8, "WEBP")) return "WebP";
  return has(4, "ftyp") ? "HEIC, AVIF or video" : "";
}

torch::Tensor read_pixels(const std::string& path) {
  const std::string head = first_bytes(path);
  if (head.starts_with("\x89PNG")) return read_png(path);
  if (head.starts_with("\xff\xd8")) return read_jpeg(path);
  const bool pnm =
      head.size() > 2 && head[0] == 'P' && std::string("2356").find(head[1]) != std::string::npos;
  if (pnm || head.starts_with("BM")) return read_uncompressed(path, head);
  if (const std::string kind = other_kind(head); !kind.empty())
    usage_error("{}: is a {} file; convert it to PNG, or leave it out", path, kind);
  damaged(path, "it does not begin as PNG, JPEG, BMP or PNM");
}

// Whether an image stores its values in 16 bits.
bool has_16_bits(const std::string& head) {
  constexpr size_t place_of_depth = 24;
  if (head.starts_with("\x89PNG")) return head.size() > place_of_depth && head[place_of_depth] == 16;
  if (head.size() < 2 || head[0] != 'P') return false;
  std::istringstream words(head.substr(2));
  std::string word;
  for (int numbers = 0; words >> word;) {  // width, height, the largest value
    if (word.starts_with('#')) {
      std::getline(words, word);
    } else if (++numbers == 3) {
      return word.size() > 3 || word > "255";
    }
  }
  return false;
}

torch::Tensor over_white(const torch::Tensor& pixels) {
  if (pixels.size(2) == 3) return pixels.to(torch::kFloat32);
  const torch::Tensor alpha = pixels.narrow(2, 3, 1).to(torch::kFloat32) / 255;
  return pixels.narrow(2, 0, 3).to(torch::kFloat32) * alpha + 255 * (1 - alpha);
}

torch::Tensor to_bytes(const torch::Tensor& image) { return image.clamp(0, 255).round().to(torch::kUInt8); }

torch::Tensor resize(const torch::Tensor& image, int64_t height, int64_t width) {
  if (image.size(1) == height && image.size(2) == width) return image;
  // align_corners=False: a pixel of a smaller image is the mean of the area that it covers.
  const torch::Tensor resized =
      at::_upsample_bilinear2d_aa(image.unsqueeze(0).to(torch::kFloat32), {height, width}, false);
  return to_bytes(resized.squeeze(0));
}

int64_t scaled(int64_t size, double factor) {
  return std::max<int64_t>(1, std::llround(static_cast<double>(size) * factor));
}

}  // namespace

FileKind image_files() {
  return {.what = "images",
          .read = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".ppm", ".pgm", ".pnm"},
          .not_read = {".webp", ".tif",  ".tiff", ".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k",
                       ".jxl",  ".svg",  ".ico",  ".tga", ".psd",  ".exr",  ".hdr",  ".pbm", ".pcx",
                       ".dcm",  ".fits", ".nii",  ".dng", ".cr2",  ".nef",  ".arw"},
          .remedy = "convert them to PNG, such as with ImageMagick's mogrify -format png"};
}

bool loses_bits(const std::string& path) { return has_16_bits(first_bytes(path)); }

torch::Tensor read_image(const std::string& path, int64_t channels) {
  require_readable_file(path);
  torch::Tensor pixels = over_white(read_pixels(path));
  if (channels == 1) pixels = (pixels * torch::tensor({0.299F, 0.587F, 0.114F})).sum(2, true);
  return to_bytes(pixels).permute({2, 0, 1}).contiguous();
}

void ImageSize::bind(OptionTable& table) {
  table.add("size", size, "pixels of a side, or HEIGHTxWIDTH; empty: all images must have the same size");
  table.add_choice("fit", fit, {"crop", "pad", "stretch"},
                   "how an image of other proportions is brought to that size; crop: its middle; pad: with "
                   "white at its sides; stretch: distorted");
}

std::pair<int64_t, int64_t> ImageSize::pixels() const {
  if (size.empty()) return {0, 0};
  const auto number = [&](const std::string& text) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > 4096)
      usage_error("--size={}: expected 1 to 4096 pixels, such as 64 or 48x64", size);
    return value;
  };
  const size_t cross = size.find('x');
  if (cross == std::string::npos) return {number(size), number(size)};
  return {number(size.substr(0, cross)), number(size.substr(cross + 1))};
}

torch::Tensor fit_image(const torch::Tensor& image, int64_t height, int64_t width, const std::string& fit) {
  const int64_t h = image.size(1), w = image.size(2);
  const double down = static_cast<double>(height) / static_cast<double>(h);
  const double across = static_cast<double>(width) / static_cast<double>(w);
  if (fit == "stretch" || down == across) return resize(image, height, width);
  if (fit == "crop") {
    const double scale = std::max(down, across);
    const int64_t part_h = std::min(h, scaled(height, 1 / scale)),
                  part_w = std::min(w, scaled(width, 1 / scale));
    return resize(image.narrow(1, (h - part_h) / 2, part_h).narrow(2, (w - part_w) / 2, part_w), height,
                  width);
  }
  const double scale = std::min(down, across);
  const int64_t part_h = std::min(height, scaled(h, scale)), part_w = std::min(width, scaled(w, scale));
  torch::Tensor canvas = torch::full({image.size(0), height, width}, 255, torch::kUInt8);
  canvas.narrow(1, (height - part_h) / 2, part_h)
      .narrow(2, (width - part_w) / 2, part_w)
      .copy_(resize(image, part_h, part_w));
  return canvas;
}

OneSize::OneSize(const ImageSize& options) : fit_(options.fit) {
  std::tie(height_, width_) = options.pixels();
}

torch::Tensor OneSize::operator()(const torch::Tensor& image, const std::string& path) {
  if (height_ > 0 && first_.empty()) return fit_image(image, height_, width_, fit_);
  if (first_.empty()) {
    first_ = path;
    height_ = image.size(1);
    width_ = image.size(2);
  }
  if (image.size(1) != height_ || image.size(2) != width_)
    usage_error("{}: has {} x {} pixels, but {} has {} x {}; use --size=HEIGHTxWIDTH to resize them", path,
                image.size(1), image.size(2), first_, height_, width_);
  return image;
}

}  // namespace elbo
