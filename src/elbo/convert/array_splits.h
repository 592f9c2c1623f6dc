// Arrays of rows and of labels, a pair a split, become a data set: what npy and npz share.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "elbo/convert/npy_reader.h"
#include "elbo/convert/splits.h"

namespace elbo {

struct ArrayOptions {
  SplitOptions splits;
  std::string kind = "auto";
  bool channels_last = false;
  void bind(OptionTable& table);
};

struct ArraySplit {
  std::string split;  // "" where the input does not name it
  NpyReader x;
  std::optional<NpyReader> label;
};

// Throws usage Errors naming the arrays that do not fit one another.
void convert_arrays(std::vector<ArraySplit> arrays, const ArrayOptions& options, const Target& target);

}  // namespace elbo
