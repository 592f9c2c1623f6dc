#include "elbo/hdf5/netcdf.h"

#include <cmath>

#include "elbo/hdf5/check.h"

namespace elbo::hdf5 {

std::optional<double> undeclared_fill(const Handle& dataset) {
  const auto guard = lock();
  const DatasetInfo info = describe(dataset);
  // A variable has dimensions that are datasets, too.
  const bool is_variable = has_attribute(dataset, "DIMENSION_LIST") && info.numeric() && info.type_size > 1;
  if (!is_variable || has_attribute(dataset, "_FillValue")) return std::nullopt;
  const Handle properties =
      checked(H5Dget_create_plist(dataset.get()), H5Pclose, dataset.get(), "read its properties");
  H5D_fill_value_t state = H5D_FILL_VALUE_UNDEFINED;
  double fill = 0;
  check(H5Pfill_value_defined(properties.get(), &state), dataset.get(), "query its fill value");
  if (state != H5D_FILL_VALUE_USER_DEFINED) return std::nullopt;
  check(H5Pget_fill_value(properties.get(), H5T_NATIVE_DOUBLE, &fill), dataset.get(), "read its fill value");
  return fill;
}

double unsigned_range(const Handle& dataset) {
  const DatasetInfo info = describe(dataset);
  const bool stands_for_unsigned = info.type_class == H5T_INTEGER && info.is_signed &&
                                   read_text_attribute(dataset, "_Unsigned").value_or("") == "true";
  return stands_for_unsigned ? std::ldexp(1.0, static_cast<int>(8 * info.type_size)) : 0;
}

}  // namespace elbo::hdf5
