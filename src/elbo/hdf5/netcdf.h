// What netCDF-4 means by HDF5 datasets and does not say in the attributes of the CF conventions.
#pragma once
#include <optional>

#include "elbo/hdf5/hdf5.h"

namespace elbo::hdf5 {

// The number that reads where a variable of netCDF without the attribute _FillValue was never written: a
// missing value, except in bytes, all of which are valid. None for other datasets.
std::optional<double> undeclared_fill(const Handle& dataset);

// 2^bits if the dataset has signed integers that stand for unsigned ones of the same size (the attribute
// _Unsigned): a negative one stands for itself plus this. Otherwise 0.
double unsigned_range(const Handle& dataset);

}  // namespace elbo::hdf5
