// Molecules as SMILES: the first column of each line, or the one that a header names.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/convert/format.h"
#include "elbo/convert/tokens.h"

namespace elbo {
namespace {

constexpr const char* separators = " \t,;";

// Blanks before a line's first column do not count.
std::vector<std::string> columns_of(const std::string& line) {
  std::vector<std::string> columns;
  for (size_t begin = line.find_first_not_of(" \t"); begin != std::string::npos;) {
    const size_t end = line.find_first_of(separators, begin);
    std::string column = line.substr(begin, end == std::string::npos ? end : end - begin);
    std::erase(column, '"');
    columns.push_back(std::move(column));
    begin = end == std::string::npos ? end : end + 1;
  }
  return columns;
}

bool names_molecules(const std::string& column) {
  return lower_case(column).find("smiles") != std::string::npos;
}

struct SmilesOptions {
  std::string bad = "refuse";
  TokenOptions rows;
  void bind(OptionTable& table) {
    rows.bind(table);
    table.add_choice(
        "bad", bad, {"refuse", "skip"},
        "what happens to lines that are not SMILES; skip: they are counted, and the first is named");
  }
};

const std::string& molecule_in(const std::vector<std::string>& columns, size_t place) {
  if (place >= columns.size() || columns[place].empty())
    usage_error("column {} is empty; expected a molecule as SMILES", place + 1);
  return columns[place];
}

// The molecules of the files. A line with the word SMILES in a column is a header, and names that column.
class Molecules {
 public:
  Molecules(const std::vector<std::string>& inputs, const SmilesOptions& options)
      : lines_(lines_of_files(inputs)), skips_(options.bad == "skip") {}

  void read(const std::function<void(const TextLine&)>& take) {
    const std::string* path = nullptr;
    size_t place = 0;  // of the molecules' column in that file
    skipped_ = 0;
    lines_([&](const TextLine& line) {
      if (std::exchange(path, line.path) != line.path) place = 0;
      const std::vector<std::string> columns = columns_of(line.text);
      const auto named = std::ranges::find_if(columns, names_molecules);
      if (named != columns.end())
        place = static_cast<size_t>(named - columns.begin());
      else if (!skips_ || is_molecule(columns, place, line))
        take({molecule_in(columns, place), line.split});
    });
  }

  void tell_of_skipped() const {
    if (skipped_ > 0) log::warning("{} lines were skipped; the first: {}", skipped_, first_skipped_);
  }

 private:
  bool is_molecule(const std::vector<std::string>& columns, size_t place, const TextLine& line) {
    try {
      smiles_of(molecule_in(columns, place));
      return true;
    } catch (const Error& error) {
      if (skipped_++ == 0)
        first_skipped_ = fmt::format("{}, line {}: {}", *line.path, line.number, error.what());
      return false;
    }
  }

  Lines lines_;
  bool skips_;
  int64_t skipped_ = 0;
  std::string first_skipped_;
};

void convert_smiles(const std::vector<std::string>& inputs, const Target& target,
                    const SmilesOptions& options) {
  Molecules molecules(inputs, options);
  convert_tokens([&](const auto& take) { molecules.read(take); }, smiles_of, "smiles", options.rows, target);
  molecules.tell_of_skipped();
}

}  // namespace

Format smiles_format() {
  return {
      .name = "smiles",
      .takes = "FILE…",
      .summary =
          "molecules, the first column of .smi, .csv or .txt files, gzipped or not, or the one that a header "
          "names SMILES; files named train, "
          "validation or test give the splits",
      .least = 1,
      .most = 1000,
      .bind = with_options(convert_smiles)};
}

}  // namespace elbo
