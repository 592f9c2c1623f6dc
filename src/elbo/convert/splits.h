// The split of each row: given by the name of its file or folder, or chosen by the seed.
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

// "train", "validation" or "test" if a part of the name is one of these words or a common short form
// ("mnist_test.npy", "valid.csv.gz"), otherwise "".
std::string split_named(const std::string& name);

// split_named() of the file's name up to its first dot.
std::string split_of_file(const std::string& path);

struct SplitOptions {
  double validation_fraction = 0, test_fraction = 0;
  int64_t seed = 0;
  void bind(OptionTable& table);
  bool divides() const { return validation_fraction > 0 || test_fraction > 0; }
};

// Stratified: of every hundred consecutive rows, each split gets the same number, chosen by the seed.
class SplitRule {
 public:
  // Throws a usage Error for fractions that are not whole percents or leave less than 10 % for training.
  explicit SplitRule(const SplitOptions& options);
  std::string split_of(int64_t row) const;

 private:
  int64_t validation_, test_;  // percent
  uint64_t seed_;
};

// A tensor for each dataset of a split's group, all with the same first dimension.
using Rows = std::vector<std::pair<std::string, torch::Tensor>>;

// Writes rows to their splits and reports progress.
class RowWriter {
 public:
  RowWriter(DatasetWriter& writer, const SplitOptions& options);
  // named: the split that the input names; rows of "" and "train" are split by the options. names: of the
  // rows, or none. Throws a usage Error that names the row if an integer label is negative.
  void append(const Rows& rows, const std::string& named = "", const std::vector<std::string>& names = {});
  // Throws a usage Error for more names than an HDF5 attribute can hold.
  void name_classes(std::vector<std::string> names);
  // Writes the attributes of labels. Throws a usage Error if a requested split has no rows.
  void finish();

 private:
  void write(const std::string& split, const Rows& rows, const std::vector<std::string>& names);
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

// The different names, sorted: by value if all are integers, otherwise by their bytes.
std::vector<std::string> sorted_classes(std::vector<std::string> names);

}  // namespace elbo
