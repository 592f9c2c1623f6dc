#include "elbo/convert/sound.h"

#include <sndfile.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numbers>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

constexpr int64_t most_samples = 100'000'000;

// libsndfile does not detect truncated files. A RIFF header holds the size of the file.
void require_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<unsigned char, 8> head{};
  file.read(reinterpret_cast<char*>(head.data()), head.size());
  if (!file || std::string(head.begin(), head.begin() + 4) != "RIFF") return;
  const uint64_t named = head[4] | uint64_t{head[5]} << 8 | uint64_t{head[6]} << 16 | uint64_t{head[7]} << 24;
  const bool unknown = named == 0 || named == 0xffffffff;  // written to a pipe
  if (!unknown && std::filesystem::file_size(path) < named + head.size())
    usage_error("{}: is cut short: it has {} bytes, its header claims {}; copy it again", path,
                std::filesystem::file_size(path), named + head.size());
}

}  // namespace

FileKind sound_files() {
  return {.what = "sound files",
          .read = {".wav", ".flac"},
          .not_read = {".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma", ".aif", ".aiff", ".au",
                       ".caf", ".amr", ".sph"},
          .remedy = "convert them to FLAC, such as with ffmpeg"};
}

Recording read_sound(const std::string& path) {
  require_readable_file(path);
  require_whole(path);
  SF_INFO info{};
  const std::unique_ptr<SNDFILE, decltype(&sf_close)> file(sf_open(path.c_str(), SFM_READ, &info), sf_close);
  if (!file) usage_error("{}: is damaged or not a sound file ({})", path, sf_strerror(nullptr));
  if (info.frames <= 0) usage_error("{}: holds no samples", path);
  if (info.frames > most_samples / std::max(1, info.channels))
    usage_error("{}: has {} samples in {} channels; expected at most {} in total; split the recording", path,
                info.frames, info.channels, most_samples);
  torch::Tensor samples = torch::empty({info.frames, info.channels}, torch::kFloat32);
  if (sf_readf_float(file.get(), samples.mutable_data_ptr<float>(), info.frames) != info.frames)
    usage_error("{}: is cut short or damaged; copy it again", path);
  return {samples.mean(1), info.samplerate};
}

torch::Tensor decimate(const torch::Tensor& samples, int64_t factor) {
  if (factor == 1) return samples;
  const int64_t reach = 16 * factor;
  const torch::Tensor place = torch::arange(-reach, reach + 1, torch::kFloat64);
  const double cutoff = 0.9 / static_cast<double>(factor);  // as a fraction of the old Nyquist frequency
  const torch::Tensor window =
      0.5 + 0.5 * torch::cos(std::numbers::pi * place / static_cast<double>(reach + 1));
  torch::Tensor filter = torch::sinc(place * cutoff) * window;
  filter = (filter / filter.sum()).to(torch::kFloat32);
  return torch::conv1d(samples.reshape({1, 1, -1}), filter.reshape({1, 1, -1}), {}, factor, reach).flatten();
}

}  // namespace elbo
