// Arrays of an archive or file by their names, which give the splits: x_train, train_x, train/x.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace elbo {

std::vector<std::string> usual_rows();    // "x", "data", …
std::vector<std::string> usual_labels();  // "y", "label", …

// Split → array, for arrays named `wanted`, or, if that is empty, named by the first of the usual names that
// exists. The split is "" for a name without one.
std::map<std::string, std::string> find_arrays(const std::vector<std::string>& names,
                                               const std::string& wanted,
                                               const std::vector<std::string>& usual);

}  // namespace elbo
