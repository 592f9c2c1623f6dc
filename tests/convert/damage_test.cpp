// Inputs of every format, cut short or with bits turned over: a sentence that names the input, or a data set.
// Sanitizers watch.
#include <png.h>
#include <sndfile.h>
#include <zip.h>

#include <random>

#include "base/file.h"
#include "conversion.h"

namespace elbo {
namespace {

class ConvertDamageTest : public ConversionTest {
 protected:
  // Converts `name` with input `file` (which `inputs` name or hold) as it is and damaged in many ways.
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
        ++told;
      }
      std::filesystem::remove(out());
    }
    std::ofstream(file, std::ios::binary) << whole;
  }

  std::string picture(const std::string& name, uint32_t seed) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    torch::Tensor pixels = torch::empty({9, 7}, torch::kUInt8);
    std::mt19937 dice(seed);
    for (int64_t i = 0; i < pixels.numel(); ++i)
      pixels.mutable_data_ptr<uint8_t>()[i] = static_cast<uint8_t>(dice() % 256);
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.height = 9, image.width = 7, image.format = PNG_FORMAT_GRAY;
    png_image_write_to_file(&image, path(name).c_str(), 0, pixels.const_data_ptr<uint8_t>(), 0, nullptr);
    return path(name);
  }

  std::string sound(const std::string& name) const {
    SF_INFO info{};
    info.samplerate = 8000, info.channels = 1;
    info.format = (name.ends_with(".flac") ? SF_FORMAT_FLAC : SF_FORMAT_WAV) | SF_FORMAT_PCM_16;
    SNDFILE* file = sf_open(path(name).c_str(), SFM_WRITE, &info);
    const torch::Tensor samples = torch::sin(torch::arange(2000) * 0.3).to(torch::kFloat32);
    sf_writef_float(file, samples.const_data_ptr<float>(), samples.size(0));
    sf_close(file);
    return path(name);
  }

  // An archive of one array, as numpy.savez_compressed() writes it.
  std::string archive(const std::string& name, const std::string& array) const {
    int reason = 0;
    zip_t* zip = zip_open(path(name).c_str(), ZIP_CREATE, &reason);
    zip_file_add(zip, "x.npy", zip_source_buffer(zip, array.data(), array.size(), 0), 0);
    zip_close(zip);
    return path(name);
  }

  static std::string array() {
    const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 6), }\n";
    std::string elements(size_t{20} * 6 * 4, '\0');
    for (size_t i = 3; i < elements.size(); i += 4) elements[i] = '\x3f';
    return std::string("\x93NUMPY\x01\x00", 8) + std::string{static_cast<char>(header.size()), 0} + header +
           elements;
  }

  static constexpr int turns = 200;
  int told = 0;

 private:
  uint32_t seed_ = 21;
  std::mt19937 dice_{seed_};
};

TEST_F(ConvertDamageTest, Arrays) {
  using namespace std::string_literals;
  const std::string bytes = "\0\0\x08\x03\0\0\0\x0a\0\0\0\x04\0\0\0\x04"s + std::string(160, 'a');
  damage("idx", write("a-images", bytes), {path("a-images")});
  damage("idx", write("b-images", bytes, true), {path("b-images")});
  damage("npy", write("a.npy", array()), {path("a.npy")});
  damage("npz", archive("a.npz", array()), {path("a.npz")}, {{"x", "x"}});
  EXPECT_GT(told, turns);
}

TEST_F(ConvertDamageTest, Tables) {
  std::string table = "a,b,c\n", ratings = "user,item,rating,timestamp\n";
  for (int i = 0; i < 30; ++i) {
    table += fmt::format("{},\"{}\",{}\n", i, i % 3, i * 0.5);
    ratings += fmt::format("u{},i{},{},{}\n", i % 4, i % 7, 1 + i % 5, i);
  }
  damage("csv", write("a.csv", table), {path("a.csv")}, {{"standardize", "true"}});
  damage("csv", write("b.csv", table, true), {path("b.csv")});
  damage("ratings", write("ratings.csv", ratings), {path("ratings.csv")});
  EXPECT_GT(told, 0);
}

TEST_F(ConvertDamageTest, Lines) {
  damage("text", write("a.txt", "the cat sat\non the mat\nand the dog\nlay down by the door\n"),
         {path("a.txt")});
  damage("text", path("a.txt"), {path("a.txt")}, {{"tokens", "characters"}});
  damage("text", path("a.txt"), {path("a.txt")}, {{"tokens", "byte_pairs"}, {"vocabulary", "30"}});
  damage("smiles", write("a.smi", "CCO\nc1ccccc1\nCC(=O)Oc1ccccc1C(=O)O\n[NH4+].[Cl-]\n"), {path("a.smi")});
  EXPECT_GT(told, 0);
}

TEST_F(ConvertDamageTest, PicturesAndClips) {
  for (const std::string name : {"p/a/1.png", "p/a/2.png", "p/b/3.png"}) picture(name, 1);
  damage("images", path("p/a/2.png"), {path("p")});
  for (uint32_t i = 0; i < 6; ++i) picture(fmt::format("film/{}.png", i), i);
  damage("video", path("film/3.png"), {path("film")}, {{"channels", "1"}, {"frames", "2"}, {"stride", "2"}});
  EXPECT_GT(told, turns / 2);
}

TEST_F(ConvertDamageTest, Sounds) {
  damage("wav", sound("a.wav"), {path("a.wav")});
  damage("flac", sound("a.flac"), {path("a.flac")}, {{"frame", "100"}});
  EXPECT_GT(told, 0);
}

TEST_F(ConvertDamageTest, OthersDataSets) {
  damage("piano_rolls",
         write("a.json", R"({"train": [[[21, 108], [], [22]], [[60]]], "test": [[[61], [62]]]})"),
         {path("a.json")}, {{"frames", "2"}});
  // Without the attribute `kind`: the library searches a damaged heap of texts for ever (1.10.8, H5HG_read).
  const std::string digits = make("digits.h5", {{"/train/x", torch::full({3, 1, 4, 4}, 100, torch::kUInt8)}});
  damage("moving_digits", digits, {digits}, {{"n", "3"}, {"n_test", "0"}, {"frames", "3"}, {"size", "10"}});
  EXPECT_GT(told, turns);
}

}  // namespace
}  // namespace elbo
