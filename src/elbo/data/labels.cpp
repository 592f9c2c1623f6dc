#include "elbo/data/labels.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <set>
#include <string_view>
#include <unordered_map>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

constexpr int64_t labels_at_once = 1 << 18;

// Calls use(first, values) with the labels in pieces, in the reader's type and shape, until it returns false.
void for_each_piece(const RowReader& reader, int64_t rows, int64_t features, torch::ScalarType type,
                    const std::function<bool(int64_t, const torch::Tensor&)>& use) {
  const int64_t piece = std::max<int64_t>(1, labels_at_once / features);
  for (int64_t first = 0; first < rows; first += piece) {
    torch::Tensor values = torch::empty({std::min(piece, rows - first), features}, type);
    reader.read(first, values.size(0), values.mutable_data_ptr());
    if (!use(first, values)) return;
  }
}

class LabelsInMemory final : public RowReader {
 public:
  explicit LabelsInMemory(const torch::Tensor& values) : values_(values.contiguous()) {}
  void read(int64_t first, int64_t count, void* out) const override {
    const torch::Tensor part = values_.narrow(0, first, count);
    std::memcpy(out, part.const_data_ptr(), part.nbytes());
  }
  bool has_random_access() const override { return true; }
  std::string access_method() const override { return "from memory"; }
  void require_unchanged() const override {}

 private:
  torch::Tensor values_;
};

// Classes that are stored as floats, one or, one-hot, `columns` for each row.
class ClassesOfFloats final : public RowReader {
 public:
  ClassesOfFloats(std::shared_ptr<const RowReader> stored, int64_t columns)
      : stored_(std::move(stored)), columns_(columns) {}
  void read(int64_t first, int64_t count, void* out) const override {
    torch::Tensor values = torch::empty({count, columns_});
    stored_->read(first, count, values.mutable_data_ptr());
    const torch::Tensor classes =
        columns_ > 1 ? values.argmax(1)
                     : values.squeeze(1).nan_to_num(static_cast<double>(unknown_class)).to(torch::kInt64);
    std::memcpy(out, classes.const_data_ptr(), classes.nbytes());
  }
  bool has_random_access() const override { return stored_->has_random_access(); }
  std::string access_method() const override { return stored_->access_method(); }
  void require_unchanged() const override { stored_->require_unchanged(); }

 private:
  std::shared_ptr<const RowReader> stored_;
  int64_t columns_;
};

bool is_one_hot(const RowReader& floats, int64_t rows, int64_t columns) {
  bool one_hot = columns > 1;
  for_each_piece(floats, rows, columns, torch::kFloat32, [&](int64_t, const torch::Tensor& values) {
    one_hot =
        values.eq(0).logical_or(values.eq(1)).all().item<bool>() && values.sum(1).eq(1).all().item<bool>();
    return one_hot;
  });
  return one_hot;
}

// Whether they are whole numbers that count classes: from 0 or 1 and, unless gaps are allowed, each of them,
// apart from -1 and NaN.
bool are_classes(const RowReader& floats, int64_t rows, bool gaps) {
  constexpr size_t most_classes = 10'000;
  std::set<float> seen;
  bool whole = true;
  for_each_piece(floats, rows, 1, torch::kFloat32, [&](int64_t, const torch::Tensor& values) {
    const auto* data = values.const_data_ptr<float>();
    for (int64_t i = 0; i < values.numel() && whole; ++i) {
      if (std::isnan(data[i]) || data[i] == static_cast<float>(unknown_class)) continue;
      whole = data[i] >= 0 && data[i] == std::floor(data[i]);
      if (whole) seen.insert(data[i]);
      whole = whole && seen.size() <= most_classes;
    }
    return whole;
  });
  if (!whole) return false;
  if (gaps) return true;
  if (seen.size() < 2 || *seen.begin() > 1) return false;
  return *seen.rbegin() - *seen.begin() + 1 == static_cast<float>(seen.size());
}

// The class of each text; a text that is not among `names` is unknown.
torch::Tensor classes_of_texts(const std::vector<std::string>& texts, const std::vector<std::string>& names) {
  std::unordered_map<std::string_view, int64_t> class_of;
  for (const std::string& name : names) class_of.emplace(name, std::ssize(class_of));
  torch::Tensor classes = torch::full({std::ssize(texts)}, unknown_class, torch::kInt64);
  auto* out = classes.mutable_data_ptr<int64_t>();
  for (size_t i = 0; i < texts.size(); ++i)
    if (const auto found = class_of.find(texts[i]); found != class_of.end()) out[i] = found->second;
  return classes;
}

std::vector<std::string> texts_of(const DataFile& file, const std::string& path) {
  return hdf5::read_texts(hdf5::open_dataset(file.handle(), path));
}

// AnnData keeps a column of categories as a group.
bool holds_categories(const DataFile& file, const std::string& path) {
  return hdf5::exists(file.handle(), path + "/codes") && hdf5::exists(file.handle(), path + "/categories");
}

// Categories that are numbers, as texts.
std::vector<std::string> categories_of(const DataFile& file, const std::string& path) {
  const std::string categories = path + "/categories";
  if (file.describe(categories).type_class == H5T_STRING) return texts_of(file, categories);
  const torch::Tensor numbers =
      hdf5::read_tensor(hdf5::open_dataset(file.handle(), categories)).to(torch::kFloat64);
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(numbers.numel()));
  for (int64_t i = 0; i < numbers.numel(); ++i) names.push_back(fmt::format("{}", numbers[i].item<double>()));
  return names;
}

int64_t require_labels_of(const DataFile& file, const std::string& path, const std::vector<int64_t>& shape,
                          int64_t rows) {
  const int64_t found = shape.empty() ? 0 : shape.front();
  if (found != rows && !(shape.size() == 2 && found == 1 && shape[1] == rows))
    file.reject(fmt::format("{} has {} rows, but there are {} rows of x; expected as many labels as rows",
                            path, found, rows));
  if (shape.size() > 2)
    file.reject(fmt::format("{} has the shape {}; expected (rows) or (rows, k)", path, shape_text(shape)));
  return shape.size() == 2 && found == rows ? shape[1] : 1;
}

Labels open_categories(const DataFile& file, const std::string& path, int64_t rows,
                       const std::vector<std::string>& names) {
  require_labels_of(file, path + "/codes", file.describe(path + "/codes").shape, rows);
  const std::vector<std::string> categories = categories_of(file, path);
  const torch::Tensor classes = classes_of_texts(categories, names);
  torch::Tensor codes = torch::empty({rows}, torch::kInt64);
  file.reader(path + "/codes", torch::kInt64)->read(0, rows, codes.mutable_data_ptr());
  auto* code = codes.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < rows; ++i)
    code[i] = code[i] >= 0 && code[i] < classes.numel() ? classes[code[i]].item<int64_t>() : unknown_class;
  return {.reader = std::make_shared<LabelsInMemory>(codes), .classes = std::ssize(names)};
}

Labels open_texts(const DataFile& file, const std::string& path, int64_t rows,
                  const std::vector<std::string>& names) {
  require_labels_of(file, path, file.describe(path).shape, rows);
  return {.reader = std::make_shared<LabelsInMemory>(classes_of_texts(texts_of(file, path), names)),
          .classes = std::ssize(names),
          .form = fmt::format("texts, which are {} classes in sorted order", names.size())};
}

}  // namespace

std::vector<std::string> class_names_of(const DataFile& file, const std::string& path) {
  std::vector<std::string> names;
  if (holds_categories(file, path)) {
    names = categories_of(file, path);
  } else if (!hdf5::is_group(file.handle(), path)) {
    const hdf5::DatasetInfo info = file.describe(path);
    if (info.type_class == H5T_STRING && info.shape.size() == 1) names = texts_of(file, path);
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<std::string> names_of_numbers(const DataFile& file, const std::string& path) {
  if (hdf5::is_group(file.handle(), path)) return {};
  return hdf5::read_texts_attribute(hdf5::open_dataset(file.handle(), path), "class_names");
}

Labels open_labels(const DataFile& file, const std::string& path, int64_t rows,
                   const std::vector<std::string>& names, bool as_classes) {
  if (holds_categories(file, path)) return open_categories(file, path, rows, names);
  if (hdf5::is_group(file.handle(), path))
    file.reject(fmt::format("{} is a group; expected a dataset of labels", path));
  const hdf5::DatasetInfo info = file.describe(path);
  if (info.type_class == H5T_STRING && info.shape.size() == 1) return open_texts(file, path, rows, names);
  if (!info.numeric())
    file.reject(fmt::format("{} holds {}; expected numbers or texts", path, info.type_name));
  const int64_t columns = require_labels_of(file, path, info.shape, rows);
  const bool in_one_row = info.shape.front() != rows;  // (1, rows)
  const auto open = [&](torch::ScalarType type) -> std::shared_ptr<const RowReader> {
    std::shared_ptr<const RowReader> reader = file.reader(path, type);
    if (!in_one_row) return reader;
    torch::Tensor values = torch::empty({rows}, type);
    reader->read(0, 1, values.mutable_data_ptr());
    return std::make_shared<LabelsInMemory>(values);
  };
  const auto declared =
      hdf5::read_integer_attribute(hdf5::open_dataset(file.handle(), path), "classes").value_or(0);
  if (info.type_class == H5T_INTEGER && columns == 1)
    return {.reader = open(torch::kInt64), .classes = declared};
  std::shared_ptr<const RowReader> floats = open(torch::kFloat32);
  if (is_one_hot(*floats, rows, columns))
    return {.reader = std::make_shared<ClassesOfFloats>(std::move(floats), columns),
            .classes = columns,
            .form = fmt::format("one-hot, which are {} classes", columns)};
  if (columns == 1 && are_classes(*floats, rows, as_classes))
    return {.reader = std::make_shared<ClassesOfFloats>(std::move(floats), 1),
            .classes = declared,
            .form = "whole numbers, which are classes"};
  return {.reader = std::move(floats), .features = columns};
}

std::string text_of_label(const DataFile& file, const std::string& path, int64_t row) {
  std::vector<std::string> texts;
  int64_t place = row;
  if (holds_categories(file, path)) {
    texts = categories_of(file, path);
    file.reader(path + "/codes", torch::kInt64)->read(row, 1, &place);
  } else if (!hdf5::is_group(file.handle(), path) && file.describe(path).type_class == H5T_STRING) {
    texts = texts_of(file, path);
  }
  return place >= 0 && place < std::ssize(texts) ? texts[static_cast<size_t>(place)] : "";
}

torch::Tensor empty_labels(const Labels& labels, int64_t rows) {
  if (labels.is_classes()) return torch::empty({rows}, torch::kInt64);
  return labels.features == 1 ? torch::empty({rows}) : torch::empty({rows, labels.features});
}

torch::Tensor all_labels(const Labels& labels, int64_t rows) {
  torch::Tensor values = empty_labels(labels, rows);
  labels.reader->read(0, rows, values.mutable_data_ptr());
  return values;
}

ClassRange range_of(const Labels& labels, int64_t rows) {
  ClassRange range;
  bool first_piece = true;
  for_each_piece(*labels.reader, rows, 1, torch::kInt64, [&](int64_t first, const torch::Tensor& classes) {
    const auto low = classes.argmin().item<int64_t>(), high = classes.argmax().item<int64_t>();
    const auto lowest = classes[low].item<int64_t>(), highest = classes[high].item<int64_t>();
    if (first_piece || lowest < range.lowest) range.lowest = lowest, range.first_lowest = first + low;
    if (first_piece || highest > range.highest) range.highest = highest, range.first_highest = first + high;
    first_piece = false;
    return true;
  });
  return range;
}

int64_t first_not_finite(const Labels& labels, int64_t rows) {
  int64_t row = -1;
  for_each_piece(*labels.reader, rows, labels.features, torch::kFloat32,
                 [&](int64_t first, const torch::Tensor& values) {
                   const torch::Tensor good = values.isfinite().all(1);
                   if (!good.all().item<bool>())
                     row = first + good.logical_not().nonzero()[0][0].item<int64_t>();
                   return row < 0;
                 });
  return row;
}

}  // namespace elbo
