#include <sndfile.h>

#include <cmath>
#include <numbers>

#include "conversion.h"
#include "elbo/convert/sound.h"
#include "elbo/data/sound_features.h"

namespace elbo {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

class AudioTest : public ConversionTest {
 protected:
  // samples: (n) or (n, channels) in [-1, 1], of 16 bits.
  std::string sound(const std::string& name, const torch::Tensor& samples, int rate = 8000) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    SF_INFO info{};
    info.samplerate = rate;
    info.channels = samples.dim() == 2 ? static_cast<int>(samples.size(1)) : 1;
    info.format = (name.ends_with(".flac") ? SF_FORMAT_FLAC : SF_FORMAT_WAV) | SF_FORMAT_PCM_16;
    SNDFILE* file = sf_open(path(name).c_str(), SFM_WRITE, &info);
    sf_writef_float(file, samples.contiguous().const_data_ptr<float>(), samples.size(0));
    sf_close(file);
    return path(name);
  }
  static torch::Tensor tone(double frequency, int64_t samples, double rate = 8000) {
    return torch::sin(torch::arange(samples) * (2 * std::numbers::pi * frequency / rate))
               .to(torch::kFloat32) *
           0.5;
  }
};

TEST_F(AudioTest, ChannelsAreAveragedInBothContainers) {
  const torch::Tensor stereo = torch::tensor({0.5F, 0.0F, 0.0F, -0.25F}).reshape({2, 2});
  for (const std::string name : {"a.wav", "a.flac"}) {
    const Recording recording = read_sound(sound(name, stereo, 16000));
    EXPECT_EQ(recording.rate, 16000);
    EXPECT_THAT(numbers(recording.samples), ElementsAre(DoubleNear(0.25, 1e-4), DoubleNear(-0.125, 1e-4)));
  }
}

TEST_F(AudioTest, MuLawCompandsTheScale) {
  // ln(1 + 255 / 2) / ln 256 = 0.8758, at 255 steps from -1 to 1: 239.2.
  EXPECT_THAT(numbers(mu_law(torch::tensor({0.0F, 1.0F, -1.0F, 0.5F}))), ElementsAre(128, 255, 0, 239));
}

TEST_F(AudioTest, TheBandOfATonePeaks) {
  // 1000 Hz is 1000 mel; the 10 bands of 0 to 4000 Hz (2146 mel) have their middles every 195 mel: the fifth.
  const torch::Tensor spectrum = log_mel(tone(1000, 256).unsqueeze(0), 8000, 10);
  EXPECT_EQ(spectrum.sizes(), (std::vector<int64_t>{1, 10}));
  EXPECT_EQ(spectrum.argmax().item<int64_t>(), 4);
  EXPECT_NEAR(log_mel(torch::zeros({1, 256}), 8000, 10).max().item<double>(), std::log(1e-5), 1e-5);
}

TEST_F(AudioTest, DecimationKeepsOnlyTheNewBand) {
  const torch::Tensor kept = decimate(tone(500, 4000), 4), lost = decimate(tone(1500, 4000), 4);
  EXPECT_EQ(kept.size(0), 1000);
  EXPECT_NEAR((kept - tone(500, 1000, 2000)).narrow(0, 100, 800).abs().max().item<double>(), 0, 0.01);
  EXPECT_LT(lost.narrow(0, 100, 800).abs().max().item<double>(), 0.01);
}

TEST_F(AudioTest, RecordingsBecomeRowsWithTheirLengths) {
  sound("set/7_ann_0.wav", torch::full({10}, 0.5F)), sound("set/3_ann_0.wav", torch::full({25}, 0.25F));
  sound("set/3_ann_1.flac", torch::full({3}, -0.5F));
  convert("audio", {path("set")},
          {{"form", "waveform"},
           {"frame", "5"},
           {"frames", "3"},
           {"label", "name_field:0"},
           {"test_pattern", "*_1.*"}});
  EXPECT_EQ(kind(), "sequence");
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{3, 3, 5}));
  EXPECT_THAT(numbers(read("/train/length")), ElementsAre(3, 2, 2));
  EXPECT_THAT(numbers(read("/train/label")), ElementsAre(0, 0, 1));
  EXPECT_THAT(numbers(read("/train/x")[2].select(1, 4)), ElementsAre(0.5, 0.5, 0));
  EXPECT_THAT(numbers(read("/test/x")[0][0]), ElementsAre(-0.5, -0.5, -0.5, 0, 0));
  EXPECT_EQ(integer_attribute("/", "rate"), 8000);
}

TEST_F(AudioTest, FramesAloneAreRows) {
  convert("wav", {sound("a.wav", tone(440, 1000))}, {{"form", "mu_law"}, {"frame", "100"}, {"frames", "0"}});
  EXPECT_EQ(kind(), "audio");
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{10, 100}));
  EXPECT_EQ(read("/train/x").scalar_type(), torch::kUInt8);
}

TEST_F(AudioTest, ErrorsNameTheirCause) {
  const std::string a = sound("a.wav", tone(440, 100)), b = sound("b.wav", tone(440, 100), 11025);
  EXPECT_THAT(refusal_of("audio", {a, b}),
              HasSubstr("b.wav: has the sample rate 11025, which is not a multiple of 8000"));
  EXPECT_THAT(refusal_of("audio", {a}, {{"rate", "3000"}}), HasSubstr("is not a multiple of 3000 (--rate)"));
  EXPECT_THAT(refusal_of("audio", {write("c.wav", "rubbish")}),
              HasSubstr("c.wav: is damaged or not a sound file"));
  std::filesystem::resize_file(a, 144);
  EXPECT_THAT(refusal_of("audio", {a}), HasSubstr("a.wav: is cut short"));
  EXPECT_THAT(refusal_of("audio", {b}, {{"label", "name_field:1"}}), HasSubstr("has 1 parts"));
  EXPECT_THAT(refusal_of("audio", {b}, {{"label", "speaker"}}),
              HasSubstr("expected folder, name_field:K or none"));
  EXPECT_THAT(refusal_of("audio", {b}, {{"test_pattern", "x*"}}), HasSubstr("matches no file name"));
  std::filesystem::create_directory(path("empty"));
  EXPECT_THAT(refusal_of("audio", {path("empty")}), HasSubstr("holds no sound files"));
}

}  // namespace
}  // namespace elbo
