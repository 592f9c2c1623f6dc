// Features of sound, and the way back from features to samples.
#pragma once
#include <torch/types.h>

#include <cstdint>

namespace elbo {

// Mu-law companding (ITU-T G.711, mu = 255) to 256 levels: uint8, silence is 128.
torch::Tensor mu_law(const torch::Tensor& samples);
// Levels 0 … 255 → samples float32 in [-1, 1].
torch::Tensor from_mu_law(const torch::Tensor& levels);

// The natural logarithm of the power of Hann-windowed frames in triangular mel bands, frames (n, frame) → (n,
// mels). Power is clamped to at least 1e-5. Bands are equally spaced on the mel scale 2595 lg(1 + f / 700),
// from 0 to half the rate.
torch::Tensor log_mel(const torch::Tensor& frames, int64_t rate, int64_t mels);

// Samples whose log_mel() of frames every `hop` samples are close to features (n, mels): the power in the
// bands by non-negative least squares (Lee & Seung 2001), the phase by the fast Griffin-Lim algorithm
// (Perraudin, Balazs & Søndergaard 2013). Every frame is an FFT of `frame` samples.
torch::Tensor sound_of_log_mel(const torch::Tensor& features, int64_t rate, int64_t frame, int64_t hop);

// frames (n, frame), one every `hop` samples → (samples): the mean where frames overlap, 0 between them.
torch::Tensor overlap_mean(const torch::Tensor& frames, int64_t hop);

}  // namespace elbo
