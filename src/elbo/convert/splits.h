// Which split a row belongs to: what its file or folder is called says it, or else its number and the seed.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/convert/dataset_writer.h"

namespace elbo {

// "train", "validation" or "test" where a part of the name is one of these words or a common short form of
// it ("mnist_test.npy", "valid.csv.gz"), otherwise "".
std::string split_named(const std::string& name);

// The part of a path that split_named() looks at: the file's name up to its first dot.
std::string split_of_file(const std::string& path);

struct SplitOptions {
  double validation_fraction = 0, test_fraction = 0;
  int64_t seed = 0;
  void bind(OptionTable& table);
  bool divides() const { return validation_fraction > 0 || test_fraction > 0; }
};

// Of every hundred consecutive rows the same number goes to each split, chosen by key.
class SplitRule {
 public:
  // Throws a usage Error unless something is left for training.
  explicit SplitRule(const SplitOptions& options);
  std::string split_of(int64_t row) const;

 private:
  int64_t validation_, test_;  // rows of a hundred
  uint64_t seed_;
};

// A tensor for each dataset of a split's group, all with the same first dimension.
using Rows = std::vector<std::pair<std::string, torch::Tensor>>;

// Sends rows to the splits, and tells people how far it is.
class RowWriter {
 public:
  RowWriter(DatasetWriter& writer, const SplitOptions& options);
  // `given`: the split that the input names; "" and "train" are divided by the options. Integer labels must
  // not be negative. Throws a usage Error naming the row.
  void append(const Rows& rows, const std::string& given = "");
  // Throws a usage Error for more names than an attribute of HDF5 holds.
  void name_classes(std::vector<std::string> names);
  // Marks the labels with their classes. Throws a usage Error for a split that was asked for and got nothing.
  void finish();

 private:
  void write(const std::string& split, const Rows& rows);
  void check_label(const torch::Tensor& label);

  DatasetWriter& writer_;
  SplitOptions options_;
  SplitRule rule_;
  int64_t divided_ = 0, written_ = 0;
  int64_t classes_ = 0;  // 0: no integer labels
  std::vector<std::string> class_names_;
  std::map<std::string, int64_t> rows_;
  double start_;
};

// Sorted names as classes: by value where all of them are whole numbers, otherwise by their bytes.
std::vector<std::string> sorted_classes(std::vector<std::string> names);

}  // namespace elbo
