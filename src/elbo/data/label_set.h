// The labels of all splits of a data set. Labels that cannot be used are left out, because most models need
// none; a model that does asks for them (require_valid).
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "elbo/data/batch.h"
#include "elbo/data/labels.h"
#include "elbo/data/split_paths.h"

namespace elbo {

struct LabelSet {
  std::vector<Labels> of;     // of each SplitPaths; without a reader: none
  std::vector<int64_t> rows;  // as many of them
  int64_t classes = 0;        // labels of the first split are 0 … classes-1, or unknown; 0: no classes
  int64_t features = 0;       // of continuous labels; 0: none
  std::string class_names;    // one a line; "" if classes have none
  std::map<std::string, std::string> problems;  // of splits whose labels are left out: why

  std::string problem_of(const std::string& split) const;
  // Throws a usage Error that names the first row without a valid label. index: of `paths`.
  void require_valid(size_t index, const SplitPaths& paths) const;
};

// stored: the splits of all files; those of the first split come first and decide what labels are. The label
// of one that cannot be used becomes "". rows: of each. like: the data that a run was trained on, whose
// classes these are, too. Adds to `notes` what was taken as meant and left out.
LabelSet open_label_set(std::vector<SplitPaths>& stored, const std::vector<int64_t>& rows,
                        const std::optional<DataShape>& like, std::vector<std::string>& notes);

}  // namespace elbo
