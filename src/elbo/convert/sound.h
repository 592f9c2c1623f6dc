// Sound files and their features.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>

#include "elbo/convert/folder.h"

namespace elbo {

struct Recording {
  torch::Tensor samples;  // (n) float32 in [-1, 1], the mean over channels
  int64_t rate = 0;       // Hz
};

FileKind sound_files();  // .wav, .flac

// Throws a usage Error that names the file if it is damaged, truncated, empty or has more than 100 million
// samples.
Recording read_sound(const std::string& path);

// Every factor-th sample after a low-pass filter, a windowed sinc with its cutoff at 0.9 of the new Nyquist
// frequency.
torch::Tensor decimate(const torch::Tensor& samples, int64_t factor);

}  // namespace elbo
