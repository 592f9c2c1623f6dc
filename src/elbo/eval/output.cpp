#include "elbo/eval/output.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/text.h"
#include "elbo/data/data_files.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

bool holds_anything(const ResultFile&) { return true; }

bool holds_data(const ResultFile& file) {
  return std::ranges::any_of(file.outputs, [](const RowOutput& output) { return output.is_data; });
}

bool holds_pictures(const ResultFile& file) {
  const int64_t channels = file.shape.channels();
  return holds_data(file) && (channels == 1 || channels == 3);
}

bool holds_tokens(const ResultFile& file) {
  return holds_data(file) && file.shape.tokens > 0 && !file.description.vocabulary.tokens.empty();
}

bool holds_sound(const ResultFile& file) {
  return holds_data(file) && !file.description.sound.form.empty() && file.shape.x.size() <= 2;
}

bool holds_music(const ResultFile& file) {
  return holds_data(file) && file.description.lowest_key >= 0 && file.shape.x.size() == 2;
}

struct Form {
  std::string_view ending;
  std::unique_ptr<ResultWriter> (*open)(ResultFile);
  bool (*can_hold)(const ResultFile&) = holds_anything;
  std::string_view holds{};  // what it can hold
};

constexpr Form forms[] = {
    {.ending = ".h5", .open = hdf5_writer},
    {.ending = ".csv", .open = table_writer},
    {.ending = ".tsv", .open = table_writer},
    {.ending = ".parquet", .open = arrow_writer},
    {.ending = ".feather", .open = arrow_writer},
    {.ending = ".npy", .open = array_writer},
    {.ending = ".npz", .open = array_writer},
    {.ending = ".h5ad", .open = anndata_writer},
    {".png", picture_writer, holds_pictures, "images, volumes and video with 1 or 3 channels"},
    {".gif", picture_writer, holds_pictures, "images, volumes and video with 1 or 3 channels"},
    {".txt", text_writer, holds_tokens, "tokens of a data set that is there"},
    {".smi", text_writer, holds_tokens, "tokens of a data set that is there"},
    {".wav", sound_writer, holds_sound, "sound that elbo convert audio has read"},
    {".mid", music_writer, holds_music, "piano rolls that elbo convert piano_rolls has read"},
    {".json", music_writer, holds_music, "piano rolls that elbo convert piano_rolls has read"},
};

const Form* form_of(const std::string& ending) {
  const auto* const found = std::ranges::find(forms, std::string_view(ending), &Form::ending);
  return found == std::end(forms) ? nullptr : found;
}

std::vector<std::string> endings_for(const ResultFile& file) {
  std::vector<std::string> endings;
  for (const Form& form : forms)
    if (form.can_hold(file)) endings.emplace_back(form.ending);
  return endings;
}

bool is_one_of(const std::string& file, const std::string& data) {
  std::error_code ignored;
  if (data.empty()) return false;
  try {
    return std::ranges::any_of(data_files(data),
                               [&](const std::string& each) { return fs::equivalent(file, each, ignored); });
  } catch (const Error&) {
    return false;  // a pattern whose files are gone
  }
}

// Whether training, evaluation or a sampler has written the file into the folder of a run.
bool is_of_run(const fs::path& file) {
  constexpr std::string_view folders[] = {"checkpoints", "samples", "samplers", "flight"};
  constexpr std::string_view files[] = {"run.ini",   "description.h5", "metrics.jsonl",  "events.jsonl",
                                        "ranks.tsv", "bad_rows.jsonl", "evaluation.json"};
  const fs::path folder = file.parent_path();
  const auto has = [](const auto& names, const fs::path& path) {
    return std::ranges::find(names, std::string_view(path.filename().native())) != std::end(names);
  };
  std::error_code ignored;
  return (has(files, file) && fs::exists(folder / "run.ini", ignored)) ||
         (has(folders, folder) && fs::exists(folder.parent_path() / "run.ini", ignored));
}

void check_existing(const OutputOptions& options) {
  const std::string& out = options.out;
  if (std::ranges::any_of(options.inputs, [&](const std::string& data) { return is_one_of(out, data); }))
    usage_error("--out={}: is a file that the command reads; choose another name", out);
  if (is_of_run(fs::canonical(out)))
    usage_error("--out={}: is a file of a run, which needs it; choose another name", out);
  if (!options.force)
    usage_error("--out={}: exists already; choose another name, or --force to replace it", out);
}

}  // namespace

void OutputOptions::bind(OptionTable& table, const std::string& what) {
  table.add_path("out", out, "file to write: " + what);
  table.add("force", force, "replace the file if it is there");
}

void OutputOptions::bind_rows(OptionTable& table, const std::string& what) {
  bind(table,
       what +
           "; its ending is the form: .h5, a data set; .csv or .tsv, with the columns, units and texts of "
           "the converted table; .parquet or .feather, the same where Arrow is; .npy, .npz, .h5ad; .png or "
           ".gif for images and video; .txt or .smi for "
           "tokens; .wav for sound; .mid or .json for piano rolls (docs/outputs.md)");
}

std::string OutputOptions::ending() const { return fs::path(out).extension(); }

bool OutputOptions::is_picture() const { return ending() == ".png" || ending() == ".gif"; }

void check_output(const OutputOptions& options, const std::vector<std::string>& endings) {
  if (options.out.empty())
    usage_error("--out is missing; expected a file name that ends in {}", join(endings, ", "));
  if (std::ranges::find(endings, options.ending()) == endings.end())
    usage_error("--out={}: expected a file name that ends in {}", options.out, join(endings, ", "));
  std::error_code ignored;  // whatever else is wrong with the path, writing says so
  if (fs::is_directory(options.out, ignored))
    usage_error("--out={}: is a folder; expected a file", options.out);
  if (fs::exists(replaceable_file(options.out), ignored)) check_existing(options);
  make_parent(options.out);
}

void check_results(const OutputOptions& options, const ResultFile& file) {
  const std::vector<std::string> endings = endings_for(file);
  if (const Form* const form = form_of(options.ending()); form != nullptr && !form->can_hold(file))
    usage_error("--out={}: {} holds {}, which these results are not; expected an ending of {}", options.out,
                form->ending, form->holds, join(endings, ", "));
  check_output(options, endings);
}

std::string ending_to_look_at(const ResultFile& file) {
  for (const char* const ending : {".png", ".wav", ".txt"})
    if (form_of(ending)->can_hold(file)) return ending;
  return "";
}

std::unique_ptr<ResultWriter> open_results(ResultFile file) {
  const Form* const form = form_of(fs::path(file.path).extension());
  return form->open(std::move(file));
}

}  // namespace elbo
