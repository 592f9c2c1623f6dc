// Small files of other formats.
#pragma once
#include <png.h>
#include <sndfile.h>
#include <torch/types.h>
#include <turbojpeg.h>
#include <zip.h>

#include <array>
#include <filesystem>
#include <random>
#include <string>

namespace elbo::samples {

// A PNG file of (height, width, channels) bytes, 1 to 4 channels.
inline void write_png(const std::string& path, const torch::Tensor& pixels) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  constexpr std::array<png_uint_32, 4> formats{PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB,
                                               PNG_FORMAT_RGBA};
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.height = static_cast<png_uint_32>(pixels.size(0));
  image.width = static_cast<png_uint_32>(pixels.size(1));
  image.format = formats.at(static_cast<size_t>(pixels.size(2) - 1));
  png_image_write_to_file(&image, path.c_str(), 0, pixels.const_data_ptr<uint8_t>(), 0, nullptr);
}

// (9, 7, channels) bytes.
inline torch::Tensor noise(uint32_t seed, int64_t channels = 1) {
  torch::Tensor pixels = torch::empty({9, 7, channels}, torch::kUInt8);
  std::mt19937 dice(seed);
  for (int64_t i = 0; i < pixels.numel(); ++i)
    pixels.mutable_data_ptr<uint8_t>()[i] = static_cast<uint8_t>(dice() % 256);
  return pixels;
}

// A JPEG file's bytes of (height, width, 3) bytes.
inline std::string jpeg(const torch::Tensor& pixels) {
  tjhandle encoder = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  tjCompress2(encoder, pixels.const_data_ptr<uint8_t>(), static_cast<int>(pixels.size(1)), 0,
              static_cast<int>(pixels.size(0)), pixels.size(2) == 4 ? TJPF_CMYK : TJPF_RGB, &bytes, &size,
              TJSAMP_444, 95, 0);
  std::string result(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(encoder);
  return result;
}

// A tone at 8000 Hz, WAV or FLAC by the extension of the name.
inline void write_sound(const std::string& path, int64_t samples = 2000) {
  SF_INFO info{};
  info.samplerate = 8000, info.channels = 1;
  info.format = (path.ends_with(".flac") ? SF_FORMAT_FLAC : SF_FORMAT_WAV) | SF_FORMAT_PCM_16;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  const torch::Tensor tone = torch::sin(torch::arange(samples) * 0.3).to(torch::kFloat32);
  sf_writef_float(file, tone.const_data_ptr<float>(), samples);
  sf_close(file);
}

// (20, 6) numbers of 4 bytes, as numpy.save() writes them.
inline std::string npy() {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 6), }\n";
  std::string elements(size_t{20} * 6 * 4, '\0');
  for (size_t i = 3; i < elements.size(); i += 4) elements[i] = '\x3f';
  return std::string("\x93NUMPY\x01\x00", 8) + std::string{static_cast<char>(header.size()), 0} + header +
         elements;
}

// An archive of one array, as numpy.savez_compressed() writes it.
inline void write_npz(const std::string& path, const std::string& array) {
  int reason = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE, &reason);
  zip_file_add(zip, "x.npy", zip_source_buffer(zip, array.data(), array.size(), 0), 0);
  zip_close(zip);
}

// (10, 4, 4) bytes.
inline std::string idx() {
  using namespace std::string_literals;
  return "\0\0\x08\x03\0\0\0\x0a\0\0\0\x04\0\0\0\x04"s + std::string(160, 'a');
}

inline std::string table(const std::string& separator) {
  std::string text = fmt::format("a{0}b{0}c\n", separator);
  for (int i = 0; i < 30; ++i) text += fmt::format("{1}{0}\"{2}\"{0}{3}\n", separator, i, i % 3, i * 0.5);
  return text;
}

inline std::string ratings() {
  std::string text = "user,item,rating,timestamp\n";
  for (int i = 0; i < 30; ++i) text += fmt::format("u{},i{},{},{}\n", i % 4, i % 7, 1 + i % 5, i);
  return text;
}

inline std::string poem() { return "the cat sat\non the mat\nand the dog\nlay down by the door\n"; }
inline std::string molecules() { return "CCO\nc1ccccc1\nCC(=O)Oc1ccccc1C(=O)O\n[NH4+].[Cl-]\n"; }
inline std::string music() { return R"({"train": [[[21, 108], [], [22]], [[60]]], "test": [[[61], [62]]]})"; }

}  // namespace elbo::samples
