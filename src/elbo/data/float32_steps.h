// Numbers that float32, in which rows are read, cannot distinguish: dates in seconds, small changes of large
// numbers. float32 has 24 bits.
#pragma once
#include <string>

#include "elbo/data/row_view.h"

namespace elbo {

// A sentence about the first column whose values lose more than a hundredth of their range, judged by rows at
// both ends of the dataset. "" if there is none.
std::string lost_in_float32(const DataFile& file, const RowView& view);

}  // namespace elbo
