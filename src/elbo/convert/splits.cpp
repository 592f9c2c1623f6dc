#include "elbo/convert/splits.h"

#include <torch/types.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/random.h"
#include "elbo/base/text.h"
#include "elbo/data/split_names.h"

namespace elbo {
namespace {

constexpr int64_t stratum = 100;
constexpr size_t most_class_names = 2000;
constexpr double quiet_seconds = 2;  // no progress line before

constexpr const char *train = "train", *validation = "validation", *test = "test";

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int64_t percent(double fraction) { return std::llround(fraction * stratum); }

}  // namespace

std::string split_named(const std::string& name) {
  if (std::string whole = split_meant(name); !whole.empty()) return whole;  // "hold_out"
  std::string word;
  for (const char c : lower_case(name) + "_") {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      word += c;
      continue;
    }
    if (std::string split = split_meant(word); !split.empty()) return split;
    word.clear();
  }
  return "";
}

std::string split_of_file(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename();
  return split_named(name.substr(0, name.find('.')));
}

void SplitOptions::bind(OptionTable& table) {
  table.add("validation_fraction", validation_fraction,
            "fraction of the training rows that becomes the validation split, in whole percents",
            Range::between(0, 0.9));
  table.add("test_fraction", test_fraction,
            "fraction of the training rows that becomes the test split, in whole percents",
            Range::between(0, 0.9));
  table.add("seed", seed, "seed of the choice of these rows", Range::at_least(0));
}

SplitRule::SplitRule(const SplitOptions& options)
    : validation_(percent(options.validation_fraction)),
      test_(percent(options.test_fraction)),
      seed_(static_cast<uint64_t>(options.seed)) {
  for (const double fraction : {options.validation_fraction, options.test_fraction})
    if (std::abs(fraction * stratum - static_cast<double>(percent(fraction))) > 1e-6)
      usage_error(
          "--validation_fraction, --test_fraction: {} is not a whole percentage; expected one such as "
          "0.1 or 0.15",
          fraction);
  if (validation_ + test_ > 90)
    usage_error(
        "--validation_fraction={} --test_fraction={}: leave too little for training; expected a sum of at "
        "most 0.9",
        options.validation_fraction, options.test_fraction);
}

std::string SplitRule::split_of(int64_t row) const {
  if (validation_ + test_ == 0) return train;
  const Permutation order(stratum, Key(seed_).with("split").with(static_cast<uint64_t>(row / stratum)));
  const auto place = static_cast<int64_t>(order(static_cast<uint64_t>(row % stratum)));
  if (place < validation_) return validation;
  return place < validation_ + test_ ? test : train;
}

RowWriter::RowWriter(DatasetWriter& writer, const SplitOptions& options)
    : writer_(writer), options_(options), rule_(options), start_(now()) {}

void RowWriter::append(const Rows& rows, const std::string& named, const std::vector<std::string>& names) {
  const int64_t count = rows.front().second.size(0);
  for (const auto& [name, tensor] : rows)
    if (name == "label") check_label(tensor);
  written_ += count;
  if (!named.empty() && named != train) {
    if ((named == test && options_.test_fraction > 0) ||
        (named == validation && options_.validation_fraction > 0))
      usage_error("--{}_fraction: the input already has a {} split; leave the option out", named, named);
    write(named, rows, names);
  } else if (!options_.divides()) {
    write(train, rows, names);
    divided_ += count;
  } else {
    std::map<std::string, std::vector<int64_t>> places;
    for (int64_t i = 0; i < count; ++i) places[rule_.split_of(divided_ + i)].push_back(i);
    divided_ += count;
    for (const auto& [split, ids] : places) {
      Rows part;
      for (const auto& [name, tensor] : rows)
        part.emplace_back(name, tensor.index_select(0, torch::tensor(ids, torch::kInt64)));
      std::vector<std::string> chosen;
      for (const int64_t id : ids)
        if (!names.empty()) chosen.push_back(names[static_cast<size_t>(id)]);
      write(split, part, chosen);
    }
  }
  if (now() - start_ > quiet_seconds) log::progress(fmt::format("{} rows", written_));
}

void RowWriter::write(const std::string& split, const Rows& rows, const std::vector<std::string>& names) {
  if (!names.empty()) writer_.append_texts(fmt::format("/{}/name", split), names);
  for (const auto& [name, tensor] : rows) writer_.append(fmt::format("/{}/{}", split, name), tensor);
  rows_[split] += rows.front().second.size(0);
}

void RowWriter::check_label(const torch::Tensor& label) {
  if (label.is_floating_point() || label.numel() == 0) return;
  if (const auto lowest = label.min().item<int64_t>(); lowest < 0)
    usage_error("the label of row {} is {}; expected classes 0, 1, 2 …",
                written_ + label.argmin().item<int64_t>(), lowest);
  classes_ = std::max(classes_, label.max().item<int64_t>() + 1);
}

void RowWriter::name_classes(std::vector<std::string> names) {
  if (names.size() > most_class_names)
    usage_error("the labels have {} different names; expected at most {} classes", names.size(),
                most_class_names);
  class_names_ = std::move(names);
}

void RowWriter::finish() {
  for (const auto& [split, fraction] :
       {std::pair{validation, options_.validation_fraction}, {test, options_.test_fraction}})
    if (fraction > 0 && rows_[split] == 0)
      usage_error(
          "--{}_fraction={}: selects none of the {} rows, which are too few; expected a larger fraction",
          split, fraction, written_);
  classes_ = std::max(classes_, static_cast<int64_t>(class_names_.size()));
  for (const auto& [split, rows] : rows_) {
    const std::string label = fmt::format("/{}/label", split);
    if (rows == 0 || classes_ == 0 || writer_.rows(label) == 0) continue;
    writer_.attribute(label, "classes", classes_);
    if (!class_names_.empty()) writer_.attribute(label, "class_names", class_names_);
  }
  if (now() - start_ > quiet_seconds) log::progress(fmt::format("{} rows", written_), 0, true);
}

std::vector<std::string> sorted_classes(std::vector<std::string> names) {
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const auto value = [](const std::string& name) -> std::optional<int64_t> {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
    return number;
  };
  if (std::ranges::all_of(names, [&](const auto& name) { return value(name).has_value(); }))
    std::ranges::stable_sort(names, {}, value);
  return names;
}

}  // namespace elbo
