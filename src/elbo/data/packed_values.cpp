#include "elbo/data/packed_values.h"

#include <fmt/format.h>

#include <cmath>

namespace elbo {

PackedValues::PackedValues(const hdf5::Handle& dataset) {
  const auto numbers = [&](const char* name) { return hdf5::read_numbers_attribute(dataset, name); };
  const auto number = [&](const char* name, double otherwise) {
    const std::vector<double> found = numbers(name);
    return found.size() == 1 ? found.front() : otherwise;
  };
  scale_ = number("scale_factor", 1);
  offset_ = number("add_offset", 0);
  for (const char* name : {"_FillValue", "missing_value"})
    for (const double value : numbers(name))
      if (std::isfinite(value))
        missing_.push_back({name, static_cast<float>(value)});  // others are refused anyway
  const ValueRange all;
  if (const double least = number("valid_min", all.lowest); least != all.lowest)
    valid_.push_back({"valid_min", {.lowest = least}});
  if (const double most = number("valid_max", all.highest); most != all.highest)
    valid_.push_back({"valid_max", {.lowest = all.lowest, .highest = most}});
  if (const std::vector<double> range = numbers("valid_range"); range.size() == 2)
    valid_.push_back({"valid_range", {.lowest = range[0], .highest = range[1]}});
}

std::string PackedValues::missing_in(const float* stored, int64_t n) const {
  constexpr const char* sentence = "the value {:g}, which its attribute {} declares missing";
  for (const auto& [attribute, value] : missing_)
    for (int64_t i = 0; i < n; ++i)
      if (stored[i] == value) return fmt::format(sentence, stored[i], attribute);
  for (const auto& [attribute, range] : valid_)
    for (int64_t i = 0; i < n; ++i)
      if (stored[i] < range.lowest || stored[i] > range.highest)
        return fmt::format(sentence, stored[i], attribute);
  return "";
}

void PackedValues::unpack(float* numbers, int64_t n) const {
  if (!scaled()) return;
  for (int64_t i = 0; i < n; ++i)
    numbers[i] = static_cast<float>(static_cast<double>(numbers[i]) * scale_ + offset_);
}

}  // namespace elbo
