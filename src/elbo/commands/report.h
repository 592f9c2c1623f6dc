// The report of runs, for the commands that end in one.
#pragma once
#include <string>
#include <vector>

namespace elbo {

struct ReportOptions {
  std::string out;            // "": report.html in the folder that is named first
  std::string sort = "loss";  // column of the table of several runs
  bool model = true;          // also what the newest checkpoints' models compute
};

// Writes the page. words: folders of runs, or folders that hold some. Of several runs it prints a table,
// sorted; if they are in one folder, it also writes table.md and table.tsv there. By one rank. Throws usage
// Errors.
void write_report(const std::vector<std::string>& words, const ReportOptions& options);

}  // namespace elbo
