// Decides how the rows of a dataset are taken: the order of its dimensions.
#pragma once
#include <string>
#include <vector>

#include "elbo/data/dataset.h"
#include "elbo/data/split_paths.h"

namespace elbo {

// The kinds that rows can be said to be of: values of data.kind, and of the root attribute `kind`.
std::vector<std::string> kinds_of_rows();
// data.kind; where it is auto, the root attribute `kind`, or "". Throws a usage Error if that is not one of
// them.
std::string kind_of_rows(const DataFile& file, const DataOptions& options);

// The order of dimensions, such as NDHW, of a dataset of volumes of this shape; "" for a dataset that may
// hold something else. is_said: the user or the file says that it holds volumes. Otherwise it does if its
// last three sides are of at least 8 pixels and nearly equal, none twice as long as another, or if they are
// of at least 8 pixels and after 1 to 4 channels. matlab: each row has its dimensions in reverse.
std::string axes_of_volumes(const std::vector<int64_t>& shape, bool is_said, bool matlab);

// Whether rows of this shape (N, height, width, channels) are images with their channels last: 1, 3 or 4 that
// are fewer than the pixels of both sides.
bool are_channels_last(const std::vector<int64_t>& shape);

// Sets paths.reversed and paths.axes as data.transpose and data.axes say, or as the file suggests: by the
// attribute MATLAB_class, by the number of labels, by sizes that can only be channels. Adds what it took as
// meant to `notes`. Throws a usage Error for data.axes of another number of dimensions.
void decide_view(SplitPaths& paths, const DataOptions& options, std::vector<std::string>& notes);
}  // namespace elbo
