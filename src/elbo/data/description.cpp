#include "elbo/data/description.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
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

// The first place where two lists differ; the size of the shorter one if there is none.
size_t first_difference(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto places = std::ranges::mismatch(a, b);
  return static_cast<size_t>(places.in1 - a.begin());
}

std::string at(const std::vector<std::string>& texts, size_t place) {
  return place < texts.size() ? fmt::format("'{}'", texts[place]) : "nothing";
}

std::string other_columns(const std::vector<std::string>& columns, const std::vector<std::string>& from) {
  if (columns.empty() || from.empty() || columns == from) return "";
  const size_t place = first_difference(columns, from);
  std::vector<std::string> sorted = columns, from_sorted = from;
  std::ranges::sort(sorted);
  std::ranges::sort(from_sorted);
  return fmt::format("its column {} is {}, not {}{}", place, at(columns, place), at(from, place),
                     sorted == from_sorted ? " (the same columns in another order)" : "");
}

std::string other_categories(const DataDescription& data, const DataDescription& from) {
  if (data.columns.empty() || from.columns.empty()) return "";
  for (const std::string& column : data.columns) {
    const auto codes = data.categories.find(column), from_codes = from.categories.find(column);
    const bool has = codes != data.categories.end(), from_has = from_codes != from.categories.end();
    if (!has && !from_has) continue;
    if (has != from_has)
      return fmt::format("its column '{}' holds {}", column,
                         has ? "codes of texts, not numbers" : "numbers, not codes of texts");
    if (codes->second == from_codes->second) continue;
    const size_t place = first_difference(codes->second, from_codes->second);
    return fmt::format("in its column '{}' the code {} is {}, not {}", column, place,
                       at(codes->second, place), at(from_codes->second, place));
  }
  return "";
}

std::string other_scale(const DataDescription& data, const DataDescription& from) {
  if (data.columns.empty() || from.columns.empty()) return "";  // numbers that nothing is said about
  if (data.change != from.change)
    return fmt::format("its numbers are transformed by {}, not by {}", data.change, from.change);
  if (data.mean.defined() != from.mean.defined())
    return data.mean.defined() ? "it is standardised" : "it is not standardised";
  if (!data.mean.defined() || data.mean.sizes() != from.mean.sizes()) return "";
  const torch::Tensor other = data.mean.ne(from.mean).logical_or(data.scale.ne(from.scale)).flatten();
  if (!other.any().item<bool>()) return "";
  const auto place = other.to(torch::kInt).argmax().item<int64_t>();
  const auto number = [&](const torch::Tensor& all) { return all.flatten()[place].item<double>(); };
  const std::string name = place < std::ssize(data.columns)
                               ? fmt::format("'{}'", data.columns[static_cast<size_t>(place)])
                               : std::to_string(place);
  return fmt::format("its column {} is standardised with the mean {:g} and the scale {:g}, not {:g} and {:g}",
                     name, number(data.mean), number(data.scale), number(from.mean), number(from.scale));
}

std::string other_sound(const SoundForm& sound, const SoundForm& from) {
  const auto text = [](const SoundForm& form) {
    return fmt::format("{} at {} samples a second, in frames of {} every {}", form.form, form.rate,
                       form.frame, form.hop);
  };
  if (sound.form.empty() || from.form.empty() || text(sound) == text(from)) return "";
  return fmt::format("its sound is {}, not {}", text(sound), text(from));
}

}  // namespace

std::string difference_of(const DataDescription& data, const DataDescription& from) {
  const std::vector<std::string>&tokens = data.vocabulary.tokens, &from_tokens = from.vocabulary.tokens;
  if (!tokens.empty() && !from_tokens.empty() && tokens != from_tokens) {
    const size_t place = first_difference(tokens, from_tokens);
    return fmt::format("its token {} is {}, not {}", place, at(tokens, place), at(from_tokens, place));
  }
  for (const std::string& found : {other_columns(data.columns, from.columns), other_categories(data, from),
                                   other_scale(data, from), other_sound(data.sound, from.sound)})
    if (!found.empty()) return found;
  return data.lowest_key == from.lowest_key || data.lowest_key < 0 || from.lowest_key < 0
             ? ""
             : fmt::format("its lowest key is {}, not {}", data.lowest_key, from.lowest_key);
}

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
