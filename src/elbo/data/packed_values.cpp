#include "elbo/data/packed_values.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/base/value_range.h"
#include "elbo/hdf5/netcdf.h"

namespace elbo {

PackedValues::PackedValues(const hdf5::Handle& dataset, const std::vector<float>& named) {
  const auto numbers = [&](const char* name) { return hdf5::read_numbers_attribute(dataset, name); };
  const auto number = [&](const char* name, double otherwise) {
    const std::vector<double> found = numbers(name);
    return found.size() == 1 ? found.front() : otherwise;
  };
  unsigned_range_ = static_cast<float>(hdf5::unsigned_range(dataset));
  scale_ = number("scale_factor", 1);
  offset_ = number("add_offset", 0);
  for (const char* name : {"_FillValue", "missing_value"})
    for (const double value : numbers(name))
      if (!std::isnan(value))  // NaN is always missing
        missing_.push_back({fmt::format("its attribute {}", name), meant(static_cast<float>(value))});
  for (const float value : named) missing_.push_back({"data.missing_value", meant(value)});
  if (const std::optional<double> fill = hdf5::undeclared_fill(dataset))
    missing_.push_back({"netCDF's fill value", meant(static_cast<float>(*fill))});
  const ValueRange all;
  // Stored numbers are compared as float32, so limits are rounded in the same way.
  const auto limit = [&](const char* name, double lowest, double highest) {
    if (lowest != all.lowest || highest != all.highest)
      valid_.push_back({fmt::format("its attribute {}", name), meant(static_cast<float>(lowest)),
                        meant(static_cast<float>(highest))});
  };
  limit("valid_min", number("valid_min", all.lowest), all.highest);
  limit("valid_max", all.lowest, number("valid_max", all.highest));
  if (const std::vector<double> range = numbers("valid_range"); range.size() == 2)
    limit("valid_range", range[0], range[1]);
}

float PackedValues::meant(float stored) const { return stored < 0 ? stored + unsigned_range_ : stored; }

std::string PackedValues::missing_in(const float* stored, int64_t n) const {
  constexpr const char* sentence = "the value {:g}, which {} declares missing";
  for (const auto& [declared_by, value] : missing_)
    for (int64_t i = 0; i < n; ++i)
      if (meant(stored[i]) == value) return fmt::format(sentence, value, declared_by);
  for (const auto& [declared_by, lowest, highest] : valid_)
    for (int64_t i = 0; i < n; ++i)
      if (const float value = meant(stored[i]); value < lowest || value > highest)
        return fmt::format(sentence, value, declared_by);
  return "";
}

void PackedValues::find_observed(const float* stored, int64_t n, bool* observed) const {
  for (int64_t i = 0; i < n; ++i) observed[i] = !std::isnan(stored[i]);
  for (const Missing& missing : missing_)
    for (int64_t i = 0; i < n; ++i) observed[i] = observed[i] && meant(stored[i]) != missing.value;
  for (const Valid& valid : valid_)
    for (int64_t i = 0; i < n; ++i)
      observed[i] = observed[i] && meant(stored[i]) >= valid.lowest && meant(stored[i]) <= valid.highest;
}

void PackedValues::unpack(float* numbers, int64_t n) const {
  if (!scaled()) return;
  for (int64_t i = 0; i < n; ++i)
    numbers[i] = static_cast<float>(static_cast<double>(meant(numbers[i])) * scale_ + offset_);
}

std::vector<float> named_missing_values(const std::string& option) {
  std::vector<float> values;
  const std::vector<std::string> words = split(option, ',');
  values.reserve(words.size());
  for (const std::string& word : words) {
    float value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size())
      usage_error("data.missing_value={}: expected numbers separated by commas, such as -999 or -9,-99",
                  option);
    values.push_back(value);
  }
  return values;
}

}  // namespace elbo
