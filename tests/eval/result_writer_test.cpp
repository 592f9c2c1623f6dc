#include "elbo/eval/result_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <filesystem>
#include <fstream>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/data/sound_features.h"
#include "elbo/eval/output.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

class ResultWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / ("elbo_results_" + std::to_string(::getpid()));
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  // The bytes of a file with these rows, in two parts.
  std::string written(ResultFile file, const std::string& name, const ResultRows& rows) {
    file.path = folder / name;
    fs::remove(file.path);
    const std::unique_ptr<ResultWriter> writer = open_results(file);
    const int64_t half = rows.rows() / 2;
    for (const auto& [first, count] : {std::pair(int64_t{0}, half), std::pair(half, rows.rows() - half)}) {
      ResultRows part;
      for (const torch::Tensor& values : rows.values) part.values.push_back(values.narrow(0, first, count));
      if (!rows.identities.empty())
        part.identities.assign(rows.identities.begin() + first, rows.identities.begin() + first + count);
      if (rows.label.defined()) part.label = rows.label.narrow(0, first, count);
      if (rows.length.defined()) part.length = rows.length.narrow(0, first, count);
      writer->append(part);
    }
    EXPECT_FALSE(fs::exists(file.path)) << "before it is finished";
    writer->finish();
    return read_file(file.path);
  }

  fs::path folder;
};

ResultFile table_file() {
  ResultFile file;
  file.outputs = {{"x", {4}, true}};
  file.shape.x = {4};
  file.shape.kind = "tabular";
  file.shape.classes = 2;
  file.shape.class_names = "no\nyes";
  file.description.columns = {"age, in years", "sex", "at=home", "at=work"};
  file.description.categories["sex"] = {"f", "m"};
  file.description.one_hot = {{2, 2}};
  file.description.mean = torch::tensor({40.0, 0.0, 0.0, 0.0}, torch::kFloat64);
  file.description.scale = torch::tensor({10.0, 1.0, 1.0, 1.0}, torch::kFloat64);
  return file;
}

TEST_F(ResultWriterTest, ATableHasItsHeaderUnitsAndTexts) {
  const ResultRows rows{.values = {torch::tensor({{-1.0, 0.9, 0.1, 0.2}, {0.5, -3.0, 0.7, 0.1}})},
                        .label = torch::tensor({1, -1}, torch::kInt64)};
  EXPECT_EQ(written(table_file(), "t.csv", rows),
            "\"age, in years\",sex,at,label\n30,m,work,yes\n45,f,home,-1\n");
}

TEST_F(ResultWriterTest, WholeNumbersDatesAndTimesAreWrittenAsSuch) {
  ResultFile file;
  file.outputs = {{"x", {4}, true}};
  file.shape.x = {4};
  file.description.columns = {"children", "born", "seen", "at"};
  file.description.number_forms = {{0, "whole"}, {1, "date"}, {2, "date_time"}, {3, "clock"}};
  const ResultRows rows{.values = {torch::tensor({{1.7, 18262.2, 0.75, 9.5}, {-0.2, -0.9, -0.5, 30.0}})}};
  EXPECT_EQ(
      written(file, "w.csv", rows),
      "children,born,seen,at\n2,2020-01-01,1970-01-01 18:00,09:30\n0,1969-12-31,1969-12-31 12:00,24:00\n");
  file.outputs.front().is_mean = true;
  EXPECT_THAT(written(file, "m.csv", rows), testing::HasSubstr("\n1.7,2020-01-01"));
}

TEST_F(ResultWriterTest, RowsHaveNumbersSplitsAndNames) {
  ResultFile file = table_file();
  file.outputs = {{"score", {}}, {"z", {2}}};
  file.several_splits = true;
  const ResultRows rows{.values = {torch::tensor({1.5F, 2.0F}), torch::tensor({{1.0F, 2.0F}, {3.0F, 0.25F}})},
                        .identities = {{"train", 7, "a \"b\""}, {"test", 0, "c\td"}}};
  EXPECT_EQ(written(file, "s.tsv", rows),
            "row\tsplit\tname\tscore\tz_0\tz_1\n7\ttrain\t\"a "
            "\"\"b\"\"\"\t1.5\t1\t2\n0\ttest\t\"c\td\"\t2\t3\t0.25\n");
}

TEST_F(ResultWriterTest, ChangesFromLineToLineAreAddedUp) {
  ResultFile file;
  file.outputs = {{"x", {3, 1}, true}};
  file.shape.x = {3, 1};
  file.description.columns = {"price"};
  file.description.change = "log_returns";
  const double up = std::log(2.0);
  const ResultRows rows{
      .values = {torch::tensor({up, up, -up, -up, up, 0.0}, torch::kFloat32).view({2, 3, 1})},
      .length = torch::tensor({3, 1}, torch::kInt64)};
  EXPECT_EQ(written(file, "p.csv", rows), "row,step,price\n0,0,2\n0,1,4\n0,2,2\n1,0,0.5\n");
  file.description.change = "differences";
  file.outputs = {{"x", {2, 3, 1}, true}};  // two paths for each row
  const ResultRows paths{.values = {torch::tensor({1, 1, 1, 2, 2, 2}, torch::kFloat32).view({1, 2, 3, 1})}};
  EXPECT_EQ(written(file, "d.csv", paths),
            "row,path,step,price\n0,0,0,1\n0,0,1,2\n0,0,2,3\n0,1,0,2\n0,1,1,4\n0,1,2,6\n");
}

TEST_F(ResultWriterTest, ArraysOfNumpyBeginAtAMultipleOf64Bytes) {
  ResultFile file;
  file.outputs = {{"z", {3}}};
  const torch::Tensor z = torch::arange(6, torch::kFloat32).view({2, 3});
  const std::string bytes = written(file, "z.npy", {.values = {z}});
  EXPECT_EQ(bytes.substr(0, 6), "\x93NUMPY");
  EXPECT_EQ(bytes.size() % 64, 24U);
  EXPECT_THAT(bytes, testing::HasSubstr("'shape': (2,3,)"));
  EXPECT_EQ(bytes.substr(bytes.size() - 24), std::string(static_cast<const char*>(z.const_data_ptr()), 24));
}

TEST_F(ResultWriterTest, ArraysHaveTheColumnsOfTheTable) {
  ResultFile file = table_file();
  file.description.number_forms[0] = "whole";
  const torch::Tensor x = torch::tensor({{0.26F, 0.8F, 0.1F, 0.9F}, {-1.0F, 0.1F, 0.7F, 0.2F}});
  const std::string bytes = written(file, "t.npy", {.values = {x}});
  EXPECT_THAT(bytes, testing::HasSubstr("'shape': (2,3,)"));
  const torch::Tensor expected = torch::tensor({43.0F, 1.0F, 1.0F, 30.0F, 0.0F, 0.0F});
  EXPECT_EQ(bytes.substr(bytes.size() - 24),
            std::string(static_cast<const char*>(expected.const_data_ptr()), 24));
}

TEST_F(ResultWriterTest, RowsKeepTheirNamesWhereOthersHaveNone) {
  ResultFile file = table_file();
  file.outputs = {{"score", {}}};
  const ResultRows rows{.values = {torch::tensor({1.0F, 2.0F, 3.0F})},
                        .identities = {{"test", 0, ""}, {"test", 1, "b"}, {"test", 2, ""}}};
  written(file, "s.h5", rows);
  const hdf5::Handle made = hdf5::open_file(folder / "s.h5");
  EXPECT_THAT(hdf5::read_texts(hdf5::open_dataset(made, "/name")), testing::ElementsAre("", "b", ""));
}

// The samples of a WAV file.
torch::Tensor samples_in(const std::string& wav) {
  EXPECT_EQ(wav.substr(0, 4), "RIFF");
  std::string data = wav.substr(44);
  return torch::from_blob(data.data(), {static_cast<int64_t>(data.size() / 2)}, torch::kInt16)
             .to(torch::kFloat32) /
         32768;
}

TEST_F(ResultWriterTest, WaveformsAndMuLawAreExactAndRowsFollowOneAnother) {
  const torch::Tensor pcm = torch::randint(-32768, 32768, {2 * 3 * 16}).to(torch::kFloat32) / 32768;
  ResultFile file;
  file.outputs = {{"x", {3, 16}, true}};
  file.shape.x = {3, 16};
  file.description.sound = {"waveform", 8000, 16, 16};
  const ResultRows rows{.values = {pcm.view({2, 3, 16})}, .length = torch::tensor({3, 2}, torch::kInt64)};
  EXPECT_TRUE(torch::equal(samples_in(written(file, "w.wav", rows)), pcm.narrow(0, 0, 80)));

  file.description.sound.form = "mu_law";
  const torch::Tensor levels = torch::arange(96).remainder(256).to(torch::kFloat32);
  for (const double byte : {255.0, 1.0}) {
    file.byte = byte;
    const std::string wav = written(file, "m.wav", {.values = {(levels * (byte / 255)).view({2, 3, 16})}});
    EXPECT_TRUE(torch::equal(mu_law(samples_in(wav)), levels.to(torch::kUInt8)));
  }
}

TEST_F(ResultWriterTest, SoundOfLogMelHasTheSameLogMel) {
  constexpr int64_t rate = 8000, frame = 256, hop = 128, mels = 40;
  const torch::Tensor time = torch::arange(128 * 40) / static_cast<double>(rate);
  const torch::Tensor sound =
      (0.3 * torch::sin(2 * 3.14159265 * 440 * time) + 0.2 * torch::sin(2 * 3.14159265 * 1200 * time))
          .to(torch::kFloat32);
  const torch::Tensor features = log_mel(sound.unfold(0, frame, hop), rate, mels);
  const torch::Tensor again = sound_of_log_mel(features, rate, frame, hop);
  const torch::Tensor difference =
      (log_mel(again.unfold(0, frame, hop), rate, mels) - features).narrow(0, 2, 30);
  const torch::Tensor loud = features.narrow(0, 2, 30).gt(-2);
  EXPECT_LT(difference.masked_select(loud).abs().mean().item<double>(), 0.8);  // nats, 3.5 dB
}

TEST_F(ResultWriterTest, PianoRollsAreNotesThatLast) {
  ResultFile file;
  file.outputs = {{"x", {3, 2}, true}};
  file.shape.x = {3, 2};
  file.byte = 1;
  file.description.lowest_key = 60;
  const ResultRows rows{.values = {torch::tensor({{{1, 0}, {1, 1}, {0, 0}}}).to(torch::kFloat32)}};
  EXPECT_EQ(written(file, "m.json", rows), "{\"train\": [[[60], [60, 61], []]]}\n");
  const std::string midi = written(file, "m.mid", rows);
  const std::string notes = midi.substr(22);
  const std::string expected{
      "\x00\x90\x3c\x50"              // C4 begins
      "\x81\x70\x90\x3d\x50"          // 240 ticks later C#4
      "\x81\x70\x80\x3c\x50\x00\x80"  // and both end after 240 more
      "\x3d\x50",
      18};
  EXPECT_EQ(notes.substr(0, expected.size()), expected);
}

TEST_F(ResultWriterTest, ForceReplacesNoFileThatIsReadOrBelongsToARun) {
  const auto said = [&](OutputOptions options) -> std::string {
    try {
      check_output(options, {".h5"});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  fs::create_directories(folder / "run/checkpoints");
  for (const char* name : {"data.h5", "other.h5", "run/run.ini", "run/description.h5", "run/own.h5",
                           "run/checkpoints/step_1.h5"})
    write_file(folder / name, name);
  fs::create_symlink("data.h5", folder / "link.h5");
  const auto forced = [&](const std::string& name) {
    return said({.out = folder / name, .force = true, .inputs = {"", folder / "d*.h5"}});
  };
  for (const char* name : {"data.h5", "link.h5"})
    EXPECT_THAT(forced(name), testing::HasSubstr("the command reads")) << name;
  for (const char* name : {"run/description.h5", "run/checkpoints/step_1.h5"})
    EXPECT_THAT(forced(name), testing::HasSubstr("file of a run")) << name;
  for (const char* name : {"other.h5", "run/own.h5", "run/new.h5"}) EXPECT_EQ(forced(name), "") << name;
  EXPECT_THAT(said({.out = folder / "other.h5"}), testing::HasSubstr("--force"));
}

TEST_F(ResultWriterTest, AFormThatCannotHoldTheRowsIsRefusedBeforehand) {
  const ResultFile file = table_file();
  const auto said = [&](const std::string& name) -> std::string {
    try {
      check_results({.out = folder / name}, file);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  for (const char* name : {"a.h5", "a.csv", "a.tsv", "a.npy", "a.npz", "a.h5ad"}) EXPECT_EQ(said(name), "");
  EXPECT_THAT(said("a.png"), testing::HasSubstr("images"));
  EXPECT_THAT(said("a.mid"), testing::HasSubstr("piano rolls"));
  EXPECT_THAT(said("a.doc"), testing::HasSubstr(".csv"));
}

}  // namespace
}  // namespace elbo
