// Stored numbers that stand for other values, by the attributes of netCDF (CF conventions 1.11,
// sections 2.5.1 and 8.1): value = number · scale_factor + add_offset; a number that is _FillValue or
// missing_value, or outside of valid_min, valid_max and valid_range, is a missing value. So is one that
// data.missing_value names.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/hdf5/hdf5.h"

namespace elbo {

class PackedValues {
 public:
  PackedValues() = default;
  // named: the values of data.missing_value, as they are stored.
  explicit PackedValues(const hdf5::Handle& dataset, const std::vector<float>& named = {});

  // Whether numbers stand for themselves, and none is missing.
  bool none() const { return missing_.empty() && valid_.empty() && !scaled(); }
  bool scaled() const { return scale_ != 1 || offset_ != 0 || unsigned_range_ > 0; }

  // Whether one of n stored numbers is a missing value, and which: "the value -32768, which its attribute
  // _FillValue declares missing"; "" where there is none.
  std::string missing_in(const float* stored, int64_t n) const;
  // Whether each of n stored numbers is observed: neither NaN nor a missing value.
  void find_observed(const float* stored, int64_t n, bool* observed) const;
  void unpack(float* numbers, int64_t n) const;

 private:
  struct Missing {
    std::string declared_by;  // for messages
    float value;
  };
  std::vector<Missing> missing_;
  struct Valid {
    std::string declared_by;
    float lowest, highest;
  };
  std::vector<Valid> valid_;
  float meant(float stored) const;  // of signed integers that stand for unsigned ones
  double scale_ = 1, offset_ = 0;
  float unsigned_range_ = 0;  // hdf5/netcdf.h
};

// The numbers of data.missing_value: "-999", "-9,-99"; "" has none. Throws a usage Error for other texts.
std::vector<float> named_missing_values(const std::string& option);

}  // namespace elbo
