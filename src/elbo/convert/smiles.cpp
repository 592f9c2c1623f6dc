// Molecules as SMILES, with their names: a table whose header names the column, or the first column of lines.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/convert/csv_reader.h"
#include "elbo/convert/format.h"
#include "elbo/convert/tokens.h"

namespace elbo {
namespace {

constexpr const char* blank_characters = " \t";

struct Molecule {
  std::string smiles, name;
};

// Runs of blanks separate columns; the last of `most` columns is the rest of the line.
std::vector<std::string> columns_of(const std::string& line, size_t most) {
  std::vector<std::string> columns;
  for (size_t begin = line.find_first_not_of(blank_characters); begin != std::string::npos;) {
    const size_t end =
        columns.size() + 1 == most ? std::string::npos : line.find_first_of(blank_characters, begin);
    columns.push_back(trim(line.substr(begin, end - begin)));
    begin = line.find_first_not_of(blank_characters, end);
  }
  return columns;
}

bool names_molecules(const std::string& column) {
  return lower_case(column).find("smiles") != std::string::npos;
}

bool names_names(const std::string& column) {
  const std::string name = lower_case(trim(column));
  return name == "id" || name.ends_with(" id") || name.ends_with("_id") || name.ends_with("name");
}

const std::string& molecule_in(const std::vector<std::string>& columns, size_t place) {
  if (place >= columns.size() || columns[place].empty())
    usage_error("column {} is empty; expected a molecule as SMILES", place + 1);
  return columns[place];
}

// The columns that a header names.
class Header {
 public:
  // `columns` name a column of molecules.
  explicit Header(std::vector<std::string> columns) : columns_(std::move(columns)) {
    const auto place = [&](auto is_meant) {
      return static_cast<size_t>(std::ranges::find_if(columns_, is_meant) - columns_.begin());
    };
    molecule_ = place(names_molecules);
    name_ = place([&](const std::string& column) { return names_names(column) && !names_molecules(column); });
  }

  // Of more columns than the header has, a separator is inside a field: then the others are not in their
  // place.
  Molecule molecule_in(const std::vector<std::string>& fields) const {
    if (fields.size() > columns_.size())
      usage_error("has {} columns; expected {} as in the header: quote a field that contains a separator",
                  fields.size(), columns_.size());
    return {elbo::molecule_in(fields, molecule_), name_ < fields.size() ? fields[name_] : ""};
  }

  // In columns that blanks separate: names may contain blanks in the last column.
  Molecule molecule_in(const std::string& line) const {
    const bool ends_with_names = name_ + 1 == columns_.size();
    return molecule_in(columns_of(line, ends_with_names ? columns_.size() : 0));
  }

 private:
  std::vector<std::string> columns_;
  size_t molecule_, name_;
};

// Of a line without a header: the molecule up to a separator, and its name after a blank.
Molecule first_molecule(const std::string& line) {
  std::vector<std::string> columns = columns_of(line, 2);
  columns.resize(2);
  std::string& molecule = columns.front();
  if (const size_t end = molecule.find_first_of(",;"); end != std::string::npos) {
    molecule.resize(end);
    columns.back().clear();
  }
  std::erase(molecule, '"');
  return {molecule_in(columns, 0), columns.back()};
}

// The character that separates the columns of a header; "" for blanks or a single column.
std::string header_separator(const std::string& header) {
  std::string found;
  std::ptrdiff_t most = 0;
  for (const char separator : {'\t', ';', ','})
    if (const auto count = std::ranges::count(header, separator); count > most) {
      found = separator;
      most = count;
    }
  return found;
}

// The first line with text; "" if it does not name a column of molecules.
std::string header_of(const std::string& path) {
  LineReader reader(open_bytes(path));
  std::string line;
  while (reader.next(line))
    if (!trim(line).empty()) return names_molecules(line) ? line : "";
  return "";
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

// The molecules of the files.
class Molecules {
 public:
  Molecules(const std::vector<std::string>& inputs, const SmilesOptions& options)
      : inputs_(inputs), skips_(options.bad == "skip") {}

  void read(const std::function<void(const TextLine&)>& take) {
    skipped_ = 0;
    for (const std::string& path : inputs_) {
      const std::string header = header_of(path);
      const std::string separator = header_separator(header);
      if (separator.empty())
        read_lines(path, header, take);
      else
        read_table(path, separator, take);
    }
  }

  void tell_of_skipped() const {
    if (skipped_ > 0) log::warning("{} lines were skipped; the first: {}", skipped_, first_skipped_);
  }

 private:
  using Take = std::function<void(const TextLine&)>;

  void read_lines(const std::string& path, const std::string& header, const Take& take) {
    const std::vector<std::string> names = columns_of(header, 0);
    std::optional<Header> columns;
    if (names.size() > 1) columns.emplace(names);
    bool is_header = !header.empty();
    lines_of_files({path})([&](const TextLine& line) {
      if (!std::exchange(is_header, false))
        take_molecule([&] { return columns ? columns->molecule_in(line.text) : first_molecule(line.text); },
                      line, take);
    });
  }

  void read_table(const std::string& path, const std::string& separator, const Take& take) {
    CsvReader reader(open_bytes(path), separator);
    std::vector<std::string> fields;
    const auto next = [&] {
      if (!reader.next(fields)) return false;
      for (std::string& field : fields) field = trim(field);
      return true;
    };
    while (next() && std::ranges::none_of(fields, names_molecules)) {
    }
    const Header header(fields);
    TextLine line{.text = "", .split = split_of_file(path), .path = &path};
    while (next()) {
      if (fields.size() == 1 && fields.front().empty()) continue;  // a line of blanks
      line.number = reader.line();
      try {
        take_molecule([&] { return header.molecule_in(fields); }, line, take);
      } catch (const Error& error) {
        throw Error(error.code(), fmt::format("{}, line {}: {}", path, line.number, error.what()));
      }
    }
  }

  template <typename Read>
  void take_molecule(const Read& read, const TextLine& line, const Take& take) {
    Molecule molecule;
    try {
      molecule = read();
      if (skips_) smiles_of(molecule.smiles);
    } catch (const Error& error) {
      if (!skips_) throw;
      if (skipped_++ == 0)
        first_skipped_ = fmt::format("{}, line {}: {}", *line.path, line.number, error.what());
      return;
    }
    take({.text = std::move(molecule.smiles), .split = line.split, .name = std::move(molecule.name)});
  }

  std::vector<std::string> inputs_;
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
          "molecules and their names: lines of .smi or .txt files, gzipped or not, or tables (commas, "
          "semicolons, tabs, quotes) whose header names a column SMILES and perhaps one name or ID; files "
          "named train, validation or test give the splits",
      .least = 1,
      .most = 1000,
      .bind = with_options(convert_smiles)};
}

}  // namespace elbo
