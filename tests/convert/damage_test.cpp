// Inputs of every format, truncated or with flipped bits: the result is an error that names the input, or a
// data set. Run with sanitizers, too.
#include <random>

#include "conversion.h"
#include "elbo/base/file.h"
#include "samples.h"

namespace elbo {
namespace {

class ConvertDamageTest : public ConversionTest {
 protected:
  // Converts `file` (one of `inputs`, or inside one) with format `name`, as it is and damaged in many ways.
  void damage(const std::string& name, const std::string& file, const std::vector<std::string>& inputs,
              const std::vector<Setting>& settings = {}) {
    SCOPED_TRACE(name + " of " + file);
    convert(name, inputs, settings);
    std::filesystem::remove(out());
    const std::string whole = read_file(file);
    for (int turn = 0; turn < turns; ++turn) {
      SCOPED_TRACE(turn);
      std::string damaged = whole;
      if (turn % 4 == 0) {
        damaged.resize(dice_() % whole.size());
      } else {
        for (int hit = 0; hit <= turn % 5; ++hit) {
          char& byte = damaged[dice_() % damaged.size()];
          byte =
              static_cast<char>(turn % 2 == 0 ? dice_() : static_cast<uint32_t>(byte) ^ (1U << dice_() % 8));
        }
      }
      std::ofstream(file, std::ios::binary) << damaged;
      try {
        convert(name, inputs, settings);
        const Dataset dataset(options(out()));
        EXPECT_GT(dataset.split(dataset.splits().front()).rows(), 0);
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr(path("")));
        ++predict;
      }
      std::filesystem::remove(out());
    }
    std::ofstream(file, std::ios::binary) << whole;
  }

  std::string sound(const std::string& name) const {
    samples::write_sound(path(name));
    return path(name);
  }

  static constexpr int turns = 200;
  int predict = 0;

 private:
  uint32_t seed_ = 21;
  std::mt19937 dice_{seed_};
};

TEST_F(ConvertDamageTest, Arrays) {
  damage("idx", write("a-images", samples::idx()), {path("a-images")});
  damage("idx", write("b-images", samples::idx(), true), {path("b-images")});
  damage("npy", write("a.npy", samples::npy()), {path("a.npy")});
  samples::write_npz(path("a.npz"), samples::npy());
  damage("npz", path("a.npz"), {path("a.npz")}, {{"x", "x"}});
  EXPECT_GT(predict, turns);
}

TEST_F(ConvertDamageTest, Tables) {
  const std::string table = samples::table(",");
  damage("csv", write("a.csv", table), {path("a.csv")}, {{"standardize", "true"}});
  damage("csv", write("b.csv", table, true), {path("b.csv")});
  damage("ratings", write("ratings.csv", samples::ratings()), {path("ratings.csv")});
  EXPECT_GT(predict, 0);
}

TEST_F(ConvertDamageTest, Lines) {
  damage("text", write("a.txt", samples::poem()), {path("a.txt")});
  damage("text", path("a.txt"), {path("a.txt")}, {{"tokens", "characters"}});
  damage("text", path("a.txt"), {path("a.txt")}, {{"tokens", "byte_pairs"}, {"vocabulary", "30"}});
  damage("smiles", write("a.smi", samples::molecules()), {path("a.smi")});
  EXPECT_GT(predict, 0);
}

TEST_F(ConvertDamageTest, ImagesAndClips) {
  for (const std::string name : {"p/a/1.png", "p/a/2.png", "p/b/3.png"})
    samples::write_png(path(name), samples::noise(1));
  damage("images", path("p/a/2.png"), {path("p")});
  for (uint32_t i = 0; i < 6; ++i) samples::write_png(path(fmt::format("film/{}.png", i)), samples::noise(i));
  damage("video", path("film/3.png"), {path("film")}, {{"channels", "1"}, {"frames", "2"}, {"stride", "2"}});
  EXPECT_GT(predict, turns / 2);
}

TEST_F(ConvertDamageTest, Sounds) {
  damage("wav", sound("a.wav"), {path("a.wav")});
  damage("flac", sound("a.flac"), {path("a.flac")}, {{"frame", "100"}});
  EXPECT_GT(predict, 0);
}

TEST_F(ConvertDamageTest, OtherDataSets) {
  damage("piano_rolls", write("a.json", samples::music()), {path("a.json")}, {{"frames", "2"}});
  // Without the attribute `kind`: the library loops forever on a damaged global heap (1.10.8, H5HG_read).
  const std::string digits = make("digits.h5", {{"/train/x", torch::full({3, 1, 4, 4}, 100, torch::kUInt8)}});
  damage("moving_digits", digits, {digits}, {{"n", "3"}, {"n_test", "0"}, {"frames", "3"}, {"size", "10"}});
  EXPECT_GT(predict, turns);
}

}  // namespace
}  // namespace elbo
