// Sound as WAV files of 16 bits.
#include <torch/types.h>

#include <cstdint>
#include <string>

#include "elbo/base/file.h"
#include "elbo/data/sound_features.h"
#include "elbo/eval/result_writer.h"

namespace elbo {
namespace {

void put(std::string& to, int64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i, value /= 256) to += static_cast<char>(value % 256);
}

// samples (n) in [-1, 1], of one channel.
std::string wav_of(const torch::Tensor& samples, int64_t rate) {
  constexpr int64_t bytes = 2;
  const torch::Tensor pcm =
      (samples * 32768).round().clamp(-32768, 32767).nan_to_num(0).to(torch::kInt16).contiguous();
  const int64_t size = pcm.numel() * bytes;
  std::string file = "RIFF";
  put(file, 36 + size, 4);
  file += "WAVEfmt ";
  put(file, 16, 4), put(file, 1, 2), put(file, 1, 2);  // PCM, one channel
  put(file, rate, 4), put(file, rate * bytes, 4), put(file, bytes, 2), put(file, 8 * bytes, 2);
  file += "data";
  put(file, size, 4);
  return file + std::string(static_cast<const char*>(pcm.const_data_ptr()), pcm.nbytes());
}

// The rows of the main output one after another, as the frames of one recording.
class SoundWriter final : public CollectingWriter {
 public:
  explicit SoundWriter(ResultFile file) : CollectingWriter(std::move(file)) {}

 private:
  void write(const ResultRows& all) const override {
    const SoundForm& sound = file().description.sound;
    torch::Tensor frames = frames_of(all);
    if (sound.form == "log_mel") {
      frames = sound_of_log_mel(frames, sound.rate, sound.frame, sound.hop);
    } else {
      if (sound.form == "mu_law") frames = from_mu_law(frames * (255 / file().byte));
      frames = overlap_mean(frames, sound.hop);
    }
    write_file(file().path, wav_of(frames, sound.rate));
  }

  // (frames, features), without padding.
  torch::Tensor frames_of(const ResultRows& all) const {
    const torch::Tensor& values = all.values[file().main];
    if (file().shape.x.size() == 1 || !all.length.defined()) return values.reshape({-1, values.size(-1)});
    std::vector<torch::Tensor> parts;
    parts.reserve(static_cast<size_t>(values.size(0)));
    for (int64_t row = 0; row < values.size(0); ++row)
      parts.push_back(
          values[row].narrow(-2, 0, all.length[row].item<int64_t>()).reshape({-1, values.size(-1)}));
    return torch::cat(parts);
  }
};

}  // namespace

std::unique_ptr<ResultWriter> sound_writer(ResultFile file) {
  return std::make_unique<SoundWriter>(std::move(file));
}

}  // namespace elbo
