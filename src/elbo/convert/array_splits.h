// Shared by npy and npz: arrays of rows and labels, one pair per split, become a data set.
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
  std::string split;  // "" if the input does not name a split
  NpyReader x;
  std::optional<NpyReader> label;
  std::vector<int64_t> classes{};  // of labels that are texts
};

// Throws a usage Error that names the arrays whose shapes or types differ.
void convert_arrays(std::vector<ArraySplit> arrays, const ArrayOptions& options, const Target& target);

}  // namespace elbo
