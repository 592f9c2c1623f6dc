#include "elbo/data/description.h"

#include <torch/types.h>

#include <array>
#include <charconv>

#include "elbo/base/text.h"
#include "elbo/hdf5/check.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

// What belongs to a description: attributes of the root group, and datasets or groups in it.
constexpr std::array text_attributes{"kind",         "tokens",    "one_hot_columns",
                                     "number_forms", "transform", "form"};
constexpr std::array number_attributes{"rate", "frame", "hop", "lowest_key"};
constexpr std::array objects{"/features", "/standardization", "/vocabulary", "/merges", "/items"};

std::vector<std::string> texts_if_any(const DataFile& file, const std::string& path) {
  if (!hdf5::exists(file.handle(), path) || hdf5::is_group(file.handle(), path)) return {};
  const hdf5::DatasetInfo info = file.describe(path);
  if (info.type_class != H5T_STRING || info.shape.size() != 1) return {};
  return hdf5::read_texts(hdf5::open_dataset(file.handle(), path));
}

// Names of genes in AnnData, 10x of versions 3 and 2, and Loom.
std::vector<std::string> names_of_variables(const DataFile& file) {
  std::vector<std::string> names;
  if (hdf5::exists(file.handle(), "/var") && hdf5::is_group(file.handle(), "/var")) {
    const hdf5::Handle group = hdf5::open_group(file.handle(), "/var");
    names = texts_if_any(file, "/var/" + hdf5::read_text_attribute(group, "_index").value_or("_index"));
  }
  for (const std::string& group : hdf5::list(file.handle(), "/"))
    for (const char* genes : {"/features/name", "/gene_names"})
      if (names.empty() && hdf5::exists(file.handle(), "/" + group + "/barcodes"))
        names = texts_if_any(file, "/" + group + genes);
  if (names.empty()) names = texts_if_any(file, "/row_attrs/Gene");
  return names;
}

// "4:3,7:2".
std::vector<std::pair<int64_t, int64_t>> blocks_of(const std::string& text) {
  std::vector<std::pair<int64_t, int64_t>> blocks;
  for (const std::string& block : split(text, ',')) {
    const size_t colon = block.find(':');
    if (colon == std::string::npos) return {};
    std::pair<int64_t, int64_t> numbers;
    std::from_chars(block.data(), block.data() + colon, numbers.first);
    std::from_chars(block.data() + colon + 1, block.data() + block.size(), numbers.second);
    blocks.push_back(numbers);
  }
  return blocks;
}

// "0:whole,3:date".
std::map<int64_t, std::string> forms_of(const std::string& text) {
  std::map<int64_t, std::string> forms;
  for (const std::string& form : split(text, ',')) {
    const size_t colon = form.find(':');
    int64_t column = 0;
    const auto [end, error] =
        std::from_chars(form.data(), form.data() + std::min(colon, form.size()), column);
    if (error == std::errc() && colon != std::string::npos) forms[column] = form.substr(colon + 1);
  }
  return forms;
}

void read_columns(const DataFile& file, DataDescription& description) {
  for (const char* path : {"/features", "/items"})
    if (description.columns.empty()) description.columns = texts_if_any(file, path);
  if (description.columns.empty()) description.columns = names_of_variables(file);
  if (!hdf5::exists(file.handle(), "/features") || hdf5::is_group(file.handle(), "/features")) return;
  const hdf5::Handle features = hdf5::open_dataset(file.handle(), "/features");
  for (const std::string& column : description.columns)
    if (std::vector<std::string> texts = hdf5::read_texts_attribute(features, column); !texts.empty())
      description.categories[column] = std::move(texts);
}

}  // namespace

torch::Tensor DataDescription::unstandardized(const torch::Tensor& x) const {
  return scale.defined() && scale.numel() == x.size(-1) ? x * scale + mean : x;
}

std::vector<bool> DataDescription::numeric() const {
  std::vector<bool> result;
  result.reserve(columns.size());
  for (const std::string& column : columns) result.push_back(!categories.contains(column));
  for (const auto& [first, count] : one_hot)
    for (int64_t i = first; i < first + count && i < std::ssize(result); ++i)
      result[static_cast<size_t>(i)] = false;
  return result;
}

DataDescription describe_data(const DataFile& file) {
  const auto lock = hdf5::lock();
  const hdf5::Handle root = hdf5::open_group(file.handle(), "/");
  const auto text = [&](const char* name) { return hdf5::read_text_attribute(root, name).value_or(""); };
  const auto number = [&](const char* name, int64_t otherwise) {
    return hdf5::read_integer_attribute(root, name).value_or(otherwise);
  };
  DataDescription description;
  read_columns(file, description);
  description.one_hot = blocks_of(text("one_hot_columns"));
  description.number_forms = forms_of(text("number_forms"));
  if (hdf5::exists(file.handle(), "/standardization/mean")) {
    const auto read = [&](const char* path) {
      return hdf5::read_tensor(hdf5::open_dataset(file.handle(), path)).to(torch::kFloat64);
    };
    description.mean = read("/standardization/mean");
    description.scale = read("/standardization/scale");
  }
  if (const std::string change = text("transform"); !change.empty()) description.change = change;
  description.vocabulary = {texts_if_any(file, "/vocabulary"), text("tokens")};
  description.sound = {text("form"), number("rate", 0), number("frame", 0), number("hop", 0)};
  description.lowest_key = number("lowest_key", -1);
  return description;
}

void copy_description(const DataFile& from, const hdf5::Handle& to, const std::vector<std::string>& columns) {
  const auto lock = hdf5::lock();
  const hdf5::Handle root = hdf5::open_group(from.handle(), "/"), target = hdf5::open_group(to, "/");
  for (const char* name : text_attributes)
    if (const auto text = hdf5::read_text_attribute(root, name)) hdf5::write_attribute(target, name, *text);
  for (const char* name : number_attributes)
    if (const auto number = hdf5::read_integer_attribute(root, name))
      hdf5::write_attribute(target, name, *number);
  for (const char* path : objects)
    if (hdf5::exists(from.handle(), path))
      hdf5::check(H5Ocopy(from.handle().get(), path, to.get(), path, H5P_DEFAULT, H5P_DEFAULT), to.get(),
                  "copy the description of the data set");
  if (hdf5::exists(from.handle(), "/features") || hdf5::exists(from.handle(), "/items")) return;
  const std::vector<std::string> names = columns.empty() ? names_of_variables(from) : columns;
  if (!names.empty()) hdf5::write_texts(to, "/features", names);
}

}  // namespace elbo
