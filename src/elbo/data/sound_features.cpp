#include "elbo/data/sound_features.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "elbo/base/random.h"

namespace elbo {
namespace {

constexpr double least_power = 1e-5;

double mel_of(double frequency) { return 2595 * std::log10(1 + frequency / 700); }
double frequency_of(double mel) { return 700 * (std::pow(10, mel / 2595) - 1); }

// (bins, mels) weights of the spectrum's bins.
torch::Tensor mel_bands(int64_t bins, int64_t rate, int64_t mels) {
  torch::Tensor bands = torch::zeros({bins, mels}, torch::kFloat32);
  auto weight = bands.accessor<float, 2>();
  const double nyquist = static_cast<double>(rate) / 2,
               step = mel_of(nyquist) / static_cast<double>(mels + 1);
  for (int64_t band = 0; band < mels; ++band) {
    const double low = frequency_of(step * static_cast<double>(band));
    const double middle = frequency_of(step * static_cast<double>(band + 1));
    const double high = frequency_of(step * static_cast<double>(band + 2));
    for (int64_t bin = 0; bin < bins; ++bin) {
      const double frequency = nyquist * static_cast<double>(bin) / static_cast<double>(bins - 1);
      const double rising = (frequency - low) / (middle - low),
                   falling = (high - frequency) / (high - middle);
      weight[bin][band] = static_cast<float>(std::max(0.0, std::min(rising, falling)));
    }
  }
  return bands;
}

// power (n, bins) whose bands are (n, mels), by multiplicative updates.
torch::Tensor power_of_bands(const torch::Tensor& bands, const torch::Tensor& weights) {
  constexpr int updates = 100;
  const torch::Tensor target = torch::matmul(bands, weights.t());
  torch::Tensor power = torch::full_like(target, bands.mean().item<double>() + least_power);
  for (int i = 0; i < updates; ++i)
    power = power * target / torch::matmul(torch::matmul(power, weights), weights.t()).clamp_min(1e-10);
  return power;
}

// Adds frames (n, frame), one every `hop` samples.
torch::Tensor overlap_add(const torch::Tensor& frames, int64_t hop) {
  const int64_t frame = frames.size(1), samples = (frames.size(0) - 1) * hop + frame;
  return torch::col2im(frames.t().unsqueeze(0).contiguous(), {1, samples}, {1, frame}, {1, 1}, {0, 0},
                       {1, hop})
      .flatten();
}

}  // namespace

torch::Tensor mu_law(const torch::Tensor& samples) {
  const torch::Tensor x = samples.clamp(-1, 1);
  const torch::Tensor bent = x.sign() * torch::log1p(255 * x.abs()) / std::log(256.0);
  return ((bent + 1) / 2 * 255).round().to(torch::kUInt8);
}

torch::Tensor from_mu_law(const torch::Tensor& levels) {
  const torch::Tensor bent = levels.to(torch::kFloat64) / 127.5 - 1;
  return (bent.sign() * torch::expm1(bent.abs() * std::log(256.0)) / 255).to(torch::kFloat32);
}

torch::Tensor log_mel(const torch::Tensor& frames, int64_t rate, int64_t mels) {
  const torch::Tensor window = torch::hann_window(frames.size(1), torch::kFloat32);
  const torch::Tensor power = torch::fft_rfft(frames * window).abs().square();
  return torch::matmul(power, mel_bands(power.size(1), rate, mels)).clamp_min(least_power).log();
}

torch::Tensor overlap_mean(const torch::Tensor& frames, int64_t hop) {
  if (hop == frames.size(1)) return frames.flatten();
  return overlap_add(frames, hop) / overlap_add(torch::ones_like(frames), hop).clamp_min(1);
}

torch::Tensor sound_of_log_mel(const torch::Tensor& features, int64_t rate, int64_t frame, int64_t hop) {
  constexpr int iterations = 60;
  constexpr double momentum = 0.99;
  const int64_t bins = frame / 2 + 1;
  const torch::Tensor bands = features.to(torch::kFloat32).clamp_max(30).exp();
  const torch::Tensor magnitude = power_of_bands(bands, mel_bands(bins, rate, features.size(1))).sqrt();
  const torch::Tensor window = torch::hann_window(frame, torch::kFloat32);
  const torch::Tensor weight =
      overlap_add(window.square().expand({features.size(0), frame}), hop).clamp_min(1e-3);
  const auto sound_of = [&](const torch::Tensor& spectrum) {
    return overlap_add(torch::fft_irfft(spectrum, frame) * window, hop) / weight;
  };
  const auto with_magnitude = [&](const torch::Tensor& spectrum) {
    return magnitude * spectrum / spectrum.abs().clamp_min(1e-8);
  };
  RandomGenerator noise(Key(0).with("phase"));
  torch::Tensor spectrum = torch::polar(magnitude, 2 * std::numbers::pi * noise.uniform(magnitude.sizes()));
  torch::Tensor before = spectrum;
  for (int i = 0; i < iterations; ++i) {
    const torch::Tensor now =
        torch::fft_rfft(sound_of(with_magnitude(spectrum)).unfold(0, frame, hop) * window);
    spectrum = now + momentum * (now - before);
    before = now;
  }
  return sound_of(with_magnitude(spectrum));
}

}  // namespace elbo
