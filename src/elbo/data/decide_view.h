// Decides how the rows of a dataset are taken: the order of its dimensions.
#pragma once
#include <string>
#include <vector>

#include "elbo/data/dataset.h"
#include "elbo/data/split_paths.h"

namespace elbo {

// Sets paths.reversed and paths.axes as data.transpose and data.axes say, or as the file suggests: by the
// attribute MATLAB_class, by the number of labels, by sizes that can only be channels. Adds what it took as
// meant to `notes`. Throws a usage Error for data.axes of another number of dimensions.
void decide_view(SplitPaths& paths, const DataOptions& options, std::vector<std::string>& notes);

// The root attribute `kind`, or "". Throws a usage Error if it is not one that is known.
std::string kind_of_file(const DataFile& file);

}  // namespace elbo
