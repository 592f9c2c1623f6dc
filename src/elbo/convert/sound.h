// Recordings, and what is computed of them.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>

namespace elbo {

struct Recording {
  torch::Tensor samples;  // (n) float32 in [-1, 1], the mean of its channels
  int64_t rate = 0;       // samples a second
};

bool is_sound_file(const std::string& path);  // by its ending: .wav, .flac

// Throws a usage Error naming the file: damaged, cut short, empty, or of more than 100 million samples.
Recording read_sound(const std::string& path);

// Every factor-th sample behind a low-pass filter (a windowed sinc) that keeps nine tenths of the new band.
torch::Tensor decimate(const torch::Tensor& samples, int64_t factor);

// ITU-T G.711's curve with mu = 255 at 256 even steps: bytes, silence is 128.
torch::Tensor mu_law(const torch::Tensor& samples);

// Natural logarithms, from 1e-5 up, of the power of Hann-windowed frames (n, frame) in `mels` triangular
// bands that are even on the mel scale 2595 lg(1 + f / 700), from 0 to half the rate: (n, mels).
torch::Tensor log_mel(const torch::Tensor& frames, int64_t rate, int64_t mels);

}  // namespace elbo
