// Several runs as a table: the settings in which they differ, how far they are, what was measured.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace elbo {

struct RunTable {
  std::vector<std::string> columns;
  std::vector<std::vector<nlohmann::ordered_json>> rows;  // of each run; null where it has no value

  std::string markdown() const;
  std::string tab_separated() const;
};

// runs: a list of what report_of_files() gives.
RunTable table_of_runs(const nlohmann::ordered_json& runs);

// Sorts runs and rows by a column, ascending: numbers, then texts, then missing values. Throws a usage Error
// for an unknown column.
void sort_runs(nlohmann::ordered_json& runs, RunTable& table, const std::string& column);

}  // namespace elbo
