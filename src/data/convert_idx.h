// Conversion of IDX files (the format of MNIST and its relatives: LeCun, Cortes & Burges 1998) to the data
// format.
#pragma once
#include <string>
#include <vector>

namespace elbo {

struct ConvertOptions {
  std::string out;                    // file to write; must not exist
  std::string name, source, license;  // root attributes
};

// Inputs: image files, each followed by its label file if there is one (recognised by dimensions), gzipped or
// not. Files whose name begins with "t10k" or contains "test" become /test, the others /train. Throws usage
// Errors naming the file.
void convert_idx(const std::vector<std::string>& inputs, const ConvertOptions& options);

}  // namespace elbo
