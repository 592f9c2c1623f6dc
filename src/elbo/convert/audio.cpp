// Sound files as rows of samples or spectra.
#include <fmt/format.h>
#include <fnmatch.h>
#include <torch/types.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/convert/folder.h"
#include "elbo/convert/format.h"
#include "elbo/convert/sound.h"
#include "elbo/convert/splits.h"
#include "elbo/data/sound_features.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

struct AudioOptions {
  std::string form = "log_mel", label = "none", test_pattern;
  int64_t rate = 0, frame = 256, hop = 0, mels = 40, frames = 64;
  SplitOptions splits;
  void bind(OptionTable& table) {
    table.add_choice("form", form, {"waveform", "mu_law", "log_mel"},
                     "what a frame holds; waveform: samples in [-1, 1]; mu_law: samples as bytes on a "
                     "logarithmic scale; log_mel: logarithms of the power in bands of the mel scale");
    table.add("rate", rate,
              "samples per second, an integer fraction of that of the files; 0: that of the files",
              Range::between(0, 384000));
    table.add("frame", frame, "samples of a frame", Range::between(1, 1 << 20));
    table.add("hop", hop, "samples from one frame to the next; 0: a frame, or half a frame for log_mel",
              Range::between(0, 1 << 20));
    table.add("mels", mels, "bands of log_mel", Range::between(1, 1024));
    table.add("frames", frames,
              "frames of a row; longer recordings become several rows; 0: each frame is a row",
              Range::between(0, 1 << 20));
    table.add("label", label,
              "class of a file; folder: the name of its folder; name_field:K: part K, from 0, of its name "
              "split at '_'; none");
    table.add("test_pattern", test_pattern, "files whose names match this shell pattern are the test split");
    splits.bind(table);
  }
  int64_t step() const { return hop > 0 ? hop : form == "log_mel" ? std::max<int64_t>(1, frame / 2) : frame; }
};

std::vector<FolderFile> find_files(const std::vector<std::string>& inputs) {
  std::vector<FolderFile> files;
  for (const std::string& input : inputs) {
    if (!fs::is_directory(input)) {
      files.push_back({input, "", fs::path(input).parent_path().filename()});
      continue;
    }
    const std::vector<FolderFile> found = files_of_splits(input, sound_files());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

// Takes the label from a part of the file's name.
void label_by_name(FolderFile& file, const std::string& asked) {
  const std::string number = asked.substr(asked.find(':') + 1);
  size_t field = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), field);
  if (error != std::errc() || end != number.data() + number.size())
    usage_error("--label={}: expected a number, from 0, after the colon", asked);
  const std::vector<std::string> parts = split(fs::path(file.path).stem().string(), '_');
  if (field >= parts.size())
    usage_error("--label={}: the name of {} has {} parts separated by '_'; expected at least {}", asked,
                file.path, parts.size(), field + 1);
  file.label = parts[field];
}

void find_labels(std::vector<FolderFile>& files, const std::string& asked) {
  if (asked == "folder") {
    for (const FolderFile& file : files)
      if (file.label.empty()) usage_error("--label=folder: {} is not in a sub-folder", file.path);
  } else if (asked.starts_with("name_field:")) {
    for (FolderFile& file : files) label_by_name(file, asked);
  } else if (asked != "none") {
    usage_error("--label={}: expected folder, name_field:K or none", asked);
  }
}

// All rows of a recording go to one split.
void find_splits(std::vector<FolderFile>& files, const AudioOptions& options) {
  const SplitRule rule(options.splits);
  int64_t matched = 0, divided = 0;
  for (FolderFile& file : files) {
    if (!options.test_pattern.empty() &&
        ::fnmatch(options.test_pattern.c_str(), fs::path(file.path).filename().c_str(), 0) == 0) {
      file.split = "test";
      ++matched;
    }
    if (file.split.empty() || file.split == "train") {
      file.split = rule.split_of(divided++);
    } else if (options.splits.divides()) {
      usage_error(
          "{}: belongs to the {} split by its name; leave out --validation_fraction and "
          "--test_fraction",
          file.path, file.split);
    }
  }
  if (!options.test_pattern.empty() && matched == 0)
    usage_error("--test_pattern={}: matches no file name; the first file is {}", options.test_pattern,
                files.front().path);
  for (const auto& [name, fraction] :
       {std::pair{"validation", options.splits.validation_fraction}, {"test", options.splits.test_fraction}})
    if (fraction > 0 && std::ranges::find(files, name, &FolderFile::split) == files.end())
      usage_error("--{}_fraction={}: selects no recording; expected a larger fraction", name, fraction);
}

// The samples at `rate`. Throws a usage Error unless it divides the rate of the recording.
torch::Tensor at_rate(const Recording& recording, int64_t& rate, const std::string& path,
                      const std::string& first) {
  if (rate == 0) rate = recording.rate;
  if (recording.rate % rate != 0)
    usage_error(
        "{}: has the sample rate {}, which is not a multiple of {} ({}); resample it with sox or ffmpeg",
        path, recording.rate, rate, first.empty() ? "--rate" : "the rate of " + first);
  return decimate(recording.samples, recording.rate / rate);
}

// (rows, frames, features), and the length of each row in frames. Padding is silence.
std::pair<torch::Tensor, torch::Tensor> rows_of(const torch::Tensor& samples, int64_t rate,
                                                const AudioOptions& options) {
  const int64_t step = options.step(), per_row = std::max<int64_t>(1, options.frames);
  const int64_t beyond = std::max<int64_t>(0, samples.size(0) - options.frame);
  const int64_t count = 1 + (beyond + step - 1) / step;
  const int64_t rows = (count + per_row - 1) / per_row;
  const int64_t needed = (rows * per_row - 1) * step + options.frame;
  const torch::Tensor padded =
      torch::cat({samples, torch::zeros({std::max<int64_t>(0, needed - samples.size(0))})});
  torch::Tensor frames = padded.narrow(0, 0, needed).unfold(0, options.frame, step);
  if (options.form == "mu_law") frames = mu_law(frames);
  if (options.form == "log_mel") frames = log_mel(frames, rate, options.mels);
  torch::Tensor lengths = torch::full({rows}, per_row, torch::kInt32);
  lengths[rows - 1] = count - (rows - 1) * per_row;
  return {frames.reshape({rows, per_row, frames.size(1)}).contiguous(), lengths};
}

// Of the rows of a recording: its path, and the number of the row where there are several.
std::vector<std::string> names_of_rows(const std::vector<std::string>& inputs, const std::string& path,
                                       int64_t rows) {
  std::string name = fs::path(path).filename();
  for (const std::string& input : inputs)
    if (fs::is_directory(input) && path.starts_with(input)) name = name_below(input, path);
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row)
    names.push_back(rows == 1 ? name : fmt::format("{}#{}", name, row));
  return names;
}

void convert_audio(const std::vector<std::string>& inputs, const Target& target,
                   const AudioOptions& options) {
  std::vector<FolderFile> files = find_files(inputs);
  find_labels(files, options.label);
  find_splits(files, options);
  std::vector<std::string> labels;
  if (options.label != "none")
    for (const FolderFile& file : files) labels.push_back(file.label);
  const std::vector<std::string> classes = sorted_classes(std::move(labels));
  DatasetWriter out(target, options.frames > 0 ? "sequence" : "audio");
  RowWriter writer(out, {});
  writer.name_classes(classes);
  int64_t rate = options.rate;
  for (const FolderFile& file : files) {
    const torch::Tensor samples =
        at_rate(read_sound(file.path), rate, file.path, options.rate == 0 ? files.front().path : "");
    const auto [x, lengths] = rows_of(samples, rate, options);
    Rows rows{{"x", options.frames > 0 ? x : x.squeeze(1)}};
    if (options.frames > 0) rows.emplace_back("length", lengths);
    if (!classes.empty())
      rows.emplace_back(
          "label",
          torch::full({x.size(0)}, std::ranges::find(classes, file.label) - classes.begin(), torch::kInt32));
    writer.append(rows, file.split, names_of_rows(inputs, file.path, x.size(0)));
  }
  writer.finish();
  out.attribute("/", "form", options.form);
  out.attribute("/", "rate", rate);
  out.attribute("/", "frame", options.frame);
  out.attribute("/", "hop", options.step());
  out.commit();
}

Format sound_format(const std::string& name, const std::string& summary) {
  return {.name = name,
          .takes = "FILE or FOLDER …",
          .summary = summary,
          .least = 1,
          .most = 100000,
          .bind = with_options(convert_audio)};
}

}  // namespace

Format audio_format() {
  return sound_format("audio",
                      "WAV and FLAC files; folders named train, validation and test give the splits");
}
Format wav_format() { return sound_format("wav", "the same as audio"); }
Format flac_format() { return sound_format("flac", "the same as audio"); }

}  // namespace elbo
