// Molecules as SMILES, the first column of each line.
#include <algorithm>
#include <cctype>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/convert/format.h"
#include "elbo/convert/tokens.h"

namespace elbo {
namespace {

std::string first_column(const std::string& line) {
  const size_t begin = line.find_first_not_of(" \t\"");
  const size_t end = line.find_first_of(" \t,;\"", begin);
  return line.substr(begin, end == std::string::npos ? end : end - begin);
}

bool is_header(const std::string& column) { return lower_case(column).find("smiles") != std::string::npos; }

// The molecules of the files. A line whose first column contains the word SMILES is a header.
Lines molecules_of(const std::vector<std::string>& inputs) {
  return [lines = lines_of_files(inputs)](const std::function<void(const TextLine&)>& take) {
    lines([&](const TextLine& line) {
      if (line.text.find_first_not_of(" \t\",;") == std::string::npos)
        usage_error("has an empty first column");
      const std::string column = first_column(line.text);
      if (!is_header(column)) take({column, line.split});
    });
  };
}

void convert_smiles(const std::vector<std::string>& inputs, const Target& target,
                    const TokenOptions& options) {
  convert_tokens(molecules_of(inputs), smiles_of, "smiles", options, target);
}

}  // namespace

Format smiles_format() {
  return {.name = "smiles",
          .takes = "FILE…",
          .summary =
              "molecules, the first column of .smi, .csv or .txt files, gzipped or not; files named train, "
              "validation or test give the splits",
          .least = 1,
          .most = 1000,
          .bind = with_options(convert_smiles)};
}

}  // namespace elbo
