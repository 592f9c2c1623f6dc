// NumPy's .npy files: rows, and optionally their labels.
#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/convert/array_splits.h"
#include "elbo/convert/format.h"

namespace elbo {
namespace {

void convert_npy(const std::vector<std::string>& inputs, const Target& target, const ArrayOptions& options) {
  std::vector<ArraySplit> arrays;
  for (const std::string& path : inputs) {
    const std::string split = split_of_file(path);
    NpyReader reader(open_bytes(path));
    const auto found = std::ranges::find(arrays, split, &ArraySplit::split);
    if (found == arrays.end()) {
      arrays.push_back({split, std::move(reader), std::nullopt});
    } else if (!found->label) {
      found->label.emplace(std::move(reader));
    } else {
      usage_error("{}: is a third file of the same split; expected rows, then labels", path);
    }
  }
  convert_arrays(std::move(arrays), options, target);
}

}  // namespace

Format npy_format() {
  return {
      .name = "npy",
      .takes = "X.npy [LABELS.npy] …",
      .summary =
          "NumPy arrays (rows, …); files named train, validation or test give the splits, each with rows, "
          "then labels",
      .least = 1,
      .most = 6,
      .bind = with_options(convert_npy)};
}

}  // namespace elbo
