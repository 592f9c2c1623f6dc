// New data as those that a model was trained on: the same columns, codes of texts, scale and tokens.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/data/description.h"

namespace elbo {

struct Like {
  std::string path;  // of a data set, or of the folder of a run; "": of neither
  void bind(OptionTable& table, const char* help);
  // None without a path. Throws a usage Error for what describes no data.
  std::optional<DataDescription> description() const;
  // Of byte pairs, "left right"; empty if there are none.
  std::vector<std::string> merges() const;
};

}  // namespace elbo
