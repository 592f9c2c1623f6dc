// Stored numbers that stand for other values, by the attributes of netCDF (CF conventions 1.11,
// sections 2.5.1 and 8.1): value = number · scale_factor + add_offset; a number that is _FillValue or
// missing_value, or outside of valid_min, valid_max and valid_range, is a missing value.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/base/value_range.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {

class PackedValues {
 public:
  PackedValues() = default;
  explicit PackedValues(const hdf5::Handle& dataset);

  // Whether numbers stand for themselves, and none is missing.
  bool none() const { return missing_.empty() && valid_.empty() && !scaled(); }
  bool scaled() const { return scale_ != 1 || offset_ != 0; }

  // Whether one of n stored numbers is a missing value, and which: "the value -32768, which its attribute
  // _FillValue declares missing"; "" where there is none.
  std::string missing_in(const float* stored, int64_t n) const;
  void unpack(float* numbers, int64_t n) const;

 private:
  struct Named {
    std::string attribute;
    float value;
  };
  std::vector<Named> missing_;
  struct NamedRange {
    std::string attribute;
    ValueRange range;
  };
  std::vector<NamedRange> valid_;
  double scale_ = 1, offset_ = 0;
};

}  // namespace elbo
