#include "elbo/eval/output.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/text.h"
#include "elbo/eval/images.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

std::string extension_of(const std::string& path) { return fs::path(path).extension(); }

// A line of the grid from each name in turn, so that, for example, an input is above its reconstruction.
torch::Tensor interleave(const NamedRows& rows, int64_t columns) {
  std::vector<torch::Tensor> lines;
  const int64_t n = rows.front().second.size(0);
  for (int64_t first = 0; first < n; first += columns)
    for (const auto& [name, values] : rows) {
      torch::Tensor line = values.narrow(0, first, std::min(columns, n - first));
      if (const int64_t lacking = columns - line.size(0); lacking > 0 && rows.size() > 1) {
        std::vector<int64_t> shape = line.sizes().vec();
        shape.front() = lacking;
        line = torch::cat({line, torch::full(shape, 0.5)});
      }
      lines.push_back(line);
    }
  return torch::cat(lines);
}

// (time, channels, height, width)
bool is_video(const std::vector<int64_t>& row) { return row.size() == 4; }

void write_images(const std::string& path, const NamedRows& rows, int64_t columns) {
  const std::vector<int64_t> row = rows.front().second.sizes().slice(1).vec();
  if (!is_video(row)) return write_png(path, image_grid(interleave(rows, columns), columns));
  NamedRows frames;
  for (const auto& [name, values] : rows) frames.emplace_back(name, values.flatten(0, 1));
  write_png(path, image_grid(interleave(frames, row.front()), row.front()));
}

void write_hdf5(const std::string& path, const NamedRows& rows) {
  const auto lock = hdf5::lock();
  AtomicFile file(path);
  {
    const hdf5::Handle out = hdf5::create_file(file.temporary_path());
    for (const auto& [name, values] : rows) hdf5::write_tensor(out, "/" + name, values.contiguous());
    hdf5::write_out(out, path);
  }
  file.commit();
}

void write_csv(const std::string& path, const NamedRows& rows) {
  std::string text;
  std::vector<torch::Tensor> flat;
  for (const auto& [name, values] : rows) {
    flat.push_back(values.flatten(1).contiguous());
    for (int64_t i = 0; i < flat.back().size(1); ++i)
      text += fmt::format("{}{}_{}", text.empty() ? "" : ",", name, i);
  }
  text += '\n';
  for (int64_t row = 0; row < flat.front().size(0); ++row) {
    bool first = true;
    for (const torch::Tensor& values : flat) {
      const auto* data = values.const_data_ptr<float>() + row * values.size(1);
      for (int64_t i = 0; i < values.size(1); ++i, first = false)
        text += fmt::format("{}{}", first ? "" : ",", data[i]);
    }
    text += '\n';
  }
  write_file(path, text);
}

// Escapes tabs and line ends, which separate texts in the file.
std::string one_line(const std::string& text) {
  std::string line;
  for (const char letter : text) {
    const auto* const escaped = letter == '\t' ? "\\t" : letter == '\n' ? "\\n" : letter == '\r' ? "\\r" : "";
    if (*escaped == '\0') line += letter;
    line += escaped;
  }
  return line;
}

void write_texts(const std::string& path, const NamedRows& rows, const Vocabulary& vocabulary) {
  std::vector<std::vector<std::string>> columns;
  columns.reserve(rows.size());
  for (const auto& [name, values] : rows) columns.push_back(vocabulary.texts(values));
  std::string text;
  for (size_t row = 0; row < columns.front().size(); ++row)
    for (size_t column = 0; column < columns.size(); ++column)
      text += one_line(columns[column][row]) + (column + 1 < columns.size() ? '\t' : '\n');
  write_file(path, text);
}

}  // namespace

void OutputOptions::bind(OptionTable& table, const std::string& formats) {
  table.add_path("out", out, "file to write: " + formats);
  table.add("force", force, "replace the file if it is there");
}

void check_output(const OutputOptions& options, const std::vector<std::string>& extensions) {
  if (options.out.empty())
    usage_error("--out is missing; expected a file name that ends in {}", join(extensions, ", "));
  if (std::ranges::find(extensions, extension_of(options.out)) == extensions.end())
    usage_error("--out={}: expected a file name that ends in {}", options.out, join(extensions, ", "));
  std::error_code ignored;  // whatever else is wrong with the path, writing says so
  if (fs::is_directory(options.out, ignored))
    usage_error("--out={}: is a folder; expected a file", options.out);
  if (fs::exists(options.out, ignored) && !options.force)
    usage_error("--out={}: exists already; choose another name, or --force to replace it", options.out);
  make_parent(options.out);
}

void check_rows_output(const OutputOptions& options, const DataShape& shape) {
  check_output(options, {".png", ".h5", ".csv", ".txt"});
  if (writes_texts(options) && shape.tokens == 0)
    usage_error("--out={}: only tokens can be written as text; use .h5 or .csv for this data set",
                options.out);
  if (extension_of(options.out) != ".png") return;
  if (const int64_t channels = shape.channels(); channels != 1 && channels != 3)
    usage_error(
        "--out={}: only images, volumes and video with 1 or 3 channels can be written as PNG; use .h5 or "
        ".csv for this data set",
        options.out);
}

bool writes_texts(const OutputOptions& options) { return extension_of(options.out) == ".txt"; }

void write_rows(const OutputOptions& options, NamedRows rows, int64_t columns, const Vocabulary& vocabulary) {
  for (auto& [name, values] : rows) values = values.cpu();
  const std::string extension = extension_of(options.out);
  if (extension == ".png") return write_images(options.out, rows, columns);
  if (extension == ".h5") return write_hdf5(options.out, rows);
  if (extension == ".txt") return write_texts(options.out, rows, vocabulary);
  write_csv(options.out, rows);
}

}  // namespace elbo
