#include "elbo/commands/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/print.h"
#include "elbo/base/text.h"
#include "elbo/base/version.h"
#include "elbo/commands/command.h"
#include "elbo/commands/report_data.h"
#include "elbo/commands/report_page.h"
#include "elbo/commands/report_table.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

OptionTable table_of(ReportOptions& options) {
  OptionTable table;
  table.add_path("out", options.out,
                 "HTML file to write; empty: report.html in the folder that is named first");
  table.add("sort", options.sort,
            "of several runs, the column of the table by which they are sorted, the smallest value first");
  table.add("model", options.model,
            "also show what the newest checkpoint's model computes, of the first 8 runs: reconstructions, "
            "traversals, a map of the latent space; false: only what the runs have written");
  return table;
}

constexpr size_t most_runs = 256, most_models = 8;

// Several runs share the room of one page.
ReportLimits limits_for(size_t runs) {
  const auto n = static_cast<int64_t>(runs);
  return {.points = std::max<int64_t>(40, 800 / n),
          .steps = std::max<int64_t>(20, 120 / n),
          .dimensions = 64,
          .image_bytes = std::max<int64_t>(30000, 900000 / n)};
}

// The folder itself, or those of the runs in it, by name.
std::vector<fs::path> runs_in(const fs::path& folder) {
  std::error_code ignored;
  std::vector<fs::path> runs;
  if (!fs::exists(folder / "run.ini", ignored))
    for (const fs::path& path : entries_of(folder, ignored))
      if (fs::exists(path / "run.ini", ignored)) runs.push_back(path);
  std::ranges::sort(runs);
  return runs.empty() ? std::vector{folder} : runs;
}

ExitCode report(const Environment& environment, const Words& words) {
  ReportOptions options;
  OptionTable table = table_of(options);
  const std::optional<CommandLine> line =
      begin(report_command(), words, table, 1, most_runs, "folders of runs, or folders that hold runs");
  if (line && environment.rank() == 0) write_report(line->positional, options);
  return ExitCode::ok;
}

// Reports are written again and again; another file is not replaced.
void check_page(const fs::path& out) {
  if (out.extension() != ".html")
    usage_error("--out={}: expected a file name that ends in .html", out.string());
  std::error_code ignored;
  if (fs::exists(replaceable_file(out), ignored) && !is_report_page(read_file(out)))
    usage_error("--out={}: exists already, and is not a report of elbo; choose another name", out.string());
}

}  // namespace

void write_report(const std::vector<std::string>& words, const ReportOptions& options) {
  std::vector<fs::path> folders;
  for (const std::string& word : words)
    for (const fs::path& run : runs_in(word)) folders.push_back(run);
  if (folders.size() > most_runs)
    usage_error("elbo report: {} runs; expected at most {} in one page", folders.size(), most_runs);
  const fs::path first = words.front();
  const fs::path out = options.out.empty() ? first / "report.html" : fs::path(options.out);
  check_page(out);
  const ReportLimits limits = limits_for(folders.size());
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  for (const fs::path& folder : folders) runs.push_back(report_of_files(folder, limits));
  if (runs.size() > 1) {
    RunTable table = table_of_runs(runs);
    sort_runs(runs, table, options.sort);
    print_escaped("{}", Lines{table.markdown()});
    if (words.size() == 1) {
      write_file(first / "table.md", table.markdown());
      write_file(first / "table.tsv", table.tab_separated());
    }
  }
  for (size_t i = 0; options.model && i < std::min(runs.size(), most_models); ++i)
    runs[i].update(report_of_model(runs[i]["path"].get<std::string>(), limits));
  for (auto& run : runs) run.erase("path");
  const std::string page = report_page(runs, version());
  make_parent(out);
  write_file(out, page);
  log::info("{}: {} of {}", out.string(), human_bytes(static_cast<double>(page.size())),
            runs.size() == 1 ? "1 run" : fmt::format("{} runs", runs.size()));
}

Command report_command() {
  return {
      "report", "RUN … [--out=FILE.html] [--sort=loss]",
      "writes a page that shows a run, or several side by side: curves, samples, codes, configuration; of "
      "several, also of a folder of runs, it prints a table",
      report};
}

}  // namespace elbo
