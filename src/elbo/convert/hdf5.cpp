// Datasets of any HDF5 file, rewritten as the data format wants them: rows first, channels first, in chunks
// that are read fast. netCDF-4 and MATLAB 7.3 files are HDF5, too.
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/convert/array_names.h"
#include "elbo/convert/format.h"
#include "elbo/convert/hdf5_rows.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace {

struct Hdf5Options {
  std::string x, label;
  AxesOptions axes;
  SplitOptions splits;
  void bind(OptionTable& table) {
    table.add("x", x,
              "dataset of the rows, by its path or by its name without the word that gives a split; empty: "
              "x, data, "
              "images, features, or the only one");
    table.add(
        "label", label,
        "dataset of the labels: numbers, texts, or a column for each class; file: the name of the file is "
        "the "
        "class; none; empty: y, label, labels, target or targets beside x, or the file's name for several "
        "files "
        "whose names give no splits");
    axes.bind(table);
    splits.bind(table);
  }
};

// One dataset of rows, and where its labels come from.
struct Part {
  std::string file, split, x;
  std::string label;       // path; "" for none
  std::string class_name;  // of all rows; "" for none
};

bool holds_rows(const hdf5::Handle& file, const std::string& path) {
  const hdf5::DatasetInfo info = hdf5::describe(hdf5::open_dataset(file, path));
  return (info.numeric() || info.type_class == H5T_STRING) && !info.shape.empty();
}

// Paths of the datasets with rows in a file, without the leading '/'.
std::vector<std::string> datasets_in(const std::string& path) {
  const auto guard = hdf5::lock();
  const hdf5::Handle file = hdf5::open_file(path);
  std::vector<std::string> names;
  const herr_t status = H5Ovisit1(
      file.get(), H5_INDEX_NAME, H5_ITER_INC,
      [](hid_t, const char* name, const H5O_info_t* info, void* out) -> herr_t {
        if (info->type == H5O_TYPE_DATASET) static_cast<std::vector<std::string>*>(out)->emplace_back(name);
        return 0;
      },
      &names);
  if (status < 0) usage_error("{}: is damaged ({}); copy or create it again", path, hdf5::last_reason());
  std::erase_if(names, [&](const std::string& name) { return !holds_rows(file, "/" + name); });
  return names;
}

std::string some_of(std::vector<std::string> names) {
  if (names.size() > 12) {
    names.resize(12);
    names.emplace_back("…");
  }
  return join(names, ", ");
}

std::string without_slash(const std::string& path) { return path.starts_with('/') ? path.substr(1) : path; }

std::vector<Part> parts_of(const std::string& file, const Hdf5Options& options) {
  const std::vector<std::string> names = datasets_in(file);
  std::map<std::string, std::string> xs = find_arrays(names, without_slash(options.x), usual_rows());
  if (xs.empty() && hdf5::exists(hdf5::open_file(file), "/" + without_slash(options.x)) && !options.x.empty())
    xs.emplace(split_named(options.x), without_slash(options.x));  // reached by a link
  if (xs.empty() && options.x.empty() && names.size() == 1) xs.emplace("", names.front());
  if (xs.empty() && names.empty()) usage_error("{}: holds no datasets of numbers", file);
  if (xs.empty())
    usage_error("{}: has no dataset {}; set --x to one of {}", file,
                options.x.empty() ? "named " + join(usual_rows(), ", ") : options.x, some_of(names));
  const bool by_file = options.label == "file", none = options.label == "none";
  const std::string wanted = by_file || none ? "" : without_slash(options.label);
  std::map<std::string, std::string> labels;
  if (!by_file && !none) labels = find_arrays(names, wanted, usual_labels());
  if (!wanted.empty() && labels.empty())
    usage_error("--label={}: {} has no such dataset; it holds {}", options.label, file, some_of(names));
  std::vector<Part> parts;
  for (const auto& [split, x] : xs) {
    const auto label = labels.find(split);
    parts.push_back({file, split.empty() ? split_of_file(file) : split, "/" + x,
                     label == labels.end() ? "" : "/" + label->second,
                     by_file ? std::filesystem::path(file).stem().string() : ""});
  }
  return parts;
}

std::vector<Part> all_parts(const std::vector<std::string>& inputs, const Hdf5Options& options) {
  std::vector<Part> parts;
  for (const std::string& file : inputs)
    for (Part& part : parts_of(file, options)) parts.push_back(std::move(part));
  const bool unnamed =
      inputs.size() > 1 && options.label.empty() &&
      std::ranges::all_of(parts, [](const Part& part) { return part.split.empty() && part.label.empty(); });
  if (!unnamed) return parts;
  for (Part& part : parts) part.class_name = std::filesystem::path(part.file).stem();
  log::info("the names of the {} files are the classes of their rows; --label=none leaves that out",
            inputs.size());
  return parts;
}

// The labels of a part: (N) or (N, k) numbers, or texts.
struct ConvertedLabels {
  torch::Tensor numbers;
  std::vector<std::string> texts;
  int64_t size() const { return numbers.defined() ? numbers.size(0) : static_cast<int64_t>(texts.size()); }
};

// (N, k) zeros with a single one in each row become its places.
torch::Tensor undo_one_hot(const torch::Tensor& labels) {
  const bool one_hot = labels.dim() == 2 && labels.size(1) > 1 &&
                       (labels == 0).logical_or(labels == 1).all().item<bool>() &&
                       (labels.sum(1) == 1).all().item<bool>();
  return one_hot ? labels.argmax(1) : labels;
}

torch::Tensor label_numbers(const Part& part, int64_t rows) {
  const Hdf5Rows labels(part.file, part.label, {});
  torch::Tensor numbers = labels.read(0, labels.rows()).first.reshape({labels.rows(), -1});
  if (numbers.size(0) == 1 && numbers.size(1) == rows) numbers = numbers.t().contiguous();
  return undo_one_hot(numbers.squeeze(1));
}

ConvertedLabels labels_of(const Part& part, int64_t rows) {
  ConvertedLabels labels;
  if (!part.class_name.empty()) {
    labels.texts.assign(static_cast<size_t>(rows), part.class_name);
  } else if (!part.label.empty()) {
    const hdf5::Handle file = hdf5::open_file(part.file);
    const hdf5::Handle dataset = hdf5::open_dataset(file, part.label);
    if (hdf5::describe(dataset).type_class == H5T_STRING)
      labels.texts = hdf5::read_texts(dataset);
    else
      labels.numbers = label_numbers(part, rows);
    if (labels.size() != rows)
      usage_error("{}: {}: holds {} labels for the {} rows of {}; expected one label per row", part.file,
                  part.label, labels.size(), rows, part.x);
  }
  return labels;
}

bool are_classes(const torch::Tensor& numbers) {
  if (!torch::isFloatingType(numbers.scalar_type())) return true;
  return numbers.dim() == 1 && (numbers == numbers.round())
                                   .logical_and(numbers >= 0)
                                   .logical_and(numbers < 65536)
                                   .all()
                                   .item<bool>();
}

// Whole numbers are classes, also where floats hold them.
void unify(std::vector<ConvertedLabels>& all) {
  const bool classes = std::ranges::all_of(all, [](const ConvertedLabels& labels) {
    return !labels.numbers.defined() || are_classes(labels.numbers);
  });
  for (ConvertedLabels& labels : all)
    if (labels.numbers.defined())
      labels.numbers = labels.numbers.to(classes ? torch::kInt64 : torch::kFloat32);
}

void write_part(RowWriter& out, const Part& part, const Hdf5Rows& x, const ConvertedLabels& labels,
                const std::vector<std::string>& classes) {
  torch::Tensor numbers = labels.numbers;
  if (!labels.texts.empty()) {
    numbers = torch::empty({labels.size()}, torch::kInt32);
    for (size_t i = 0; i < labels.texts.size(); ++i)
      numbers.mutable_data_ptr<int32_t>()[i] =
          static_cast<int32_t>(std::ranges::find(classes, labels.texts[i]) - classes.begin());
  }
  for (int64_t first = 0; first < x.rows(); first += x.rows_per_piece()) {
    const auto [values, kept] = x.read(first, std::min(x.rows_per_piece(), x.rows() - first));
    if (kept.empty()) continue;
    Rows rows{{"x", values}};
    if (numbers.defined())
      rows.emplace_back("label", numbers.index_select(0, torch::tensor(kept, torch::kInt64)));
    out.append(rows, part.split);
  }
}

void require_alike(const Hdf5Rows& first, const Hdf5Rows& other, const ConvertedLabels& labels,
                   const ConvertedLabels& others) {
  if (first.row_shape() != other.row_shape() || first.type() != other.type())
    usage_error("{}: has rows {} of {}, but {} has {} of {}; expected the same", other.name(),
                shape_text(other.row_shape()), torch::toString(other.type()), first.name(),
                shape_text(first.row_shape()), torch::toString(first.type()));
  if (labels.numbers.defined() != others.numbers.defined() || labels.texts.empty() != others.texts.empty())
    usage_error("{} and {}: expected labels of one kind for both, or none", first.name(), other.name());
}

void convert_hdf5(const std::vector<std::string>& inputs, const Target& target, const Hdf5Options& options) {
  const std::vector<Part> parts = all_parts(inputs, options);
  const Hdf5Rows first(parts.front().file, parts.front().x, options.axes);
  std::vector<ConvertedLabels> labels;
  std::vector<std::string> texts;
  for (const Part& part : parts) {
    const Hdf5Rows x(part.file, part.x, options.axes);
    labels.push_back(labels_of(part, x.rows()));
    require_alike(first, x, labels.front(), labels.back());
    texts.insert(texts.end(), labels.back().texts.begin(), labels.back().texts.end());
  }
  unify(labels);
  const std::vector<std::string> classes = sorted_classes(std::move(texts));
  log::info("{}: rows {}, kind {}", first.name(), shape_text(first.row_shape()), first.kind());
  DatasetWriter out(target, first.kind());
  RowWriter rows(out, options.splits);
  for (size_t i = 0; i < parts.size(); ++i)
    write_part(rows, parts[i], Hdf5Rows(parts[i].file, parts[i].x, options.axes), labels[i], classes);
  rows.name_classes(classes);
  rows.finish();
  out.commit();
}

}  // namespace

Format hdf5_format() {
  return {
      .name = "hdf5",
      .takes = "FILE …",
      .summary =
          "datasets of other HDF5 files, netCDF-4 and MATLAB 7.3 among them: axes, types, labels and packed "
          "values become those of the data format; several files become classes, or splits by their names",
      .least = 1,
      .most = 10000,
      .bind = with_options(convert_hdf5)};
}

}  // namespace elbo
