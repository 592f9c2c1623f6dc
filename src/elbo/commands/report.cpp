#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/base/version.h"
#include "elbo/commands/command.h"
#include "elbo/commands/report_data.h"
#include "elbo/commands/report_page.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

struct ReportOptions {
  std::string out;
  bool model = true;
  OptionTable table() {
    OptionTable table;
    table.add_path(
        "out", out,
        "HTML file to write; empty: report.html in the folder of the run, or of the first of them");
    table.add(
        "model", model,
        "also show what the newest checkpoint's model computes: reconstructions, traversals, a map of the "
        "latent space; false: only what the run has written");
    return table;
  }
};

constexpr size_t most_runs = 64;

// Several runs share the room of one page.
ReportLimits limits_for(size_t runs) {
  const auto n = static_cast<int64_t>(runs);
  return {.points = std::max<int64_t>(60, 800 / n),
          .steps = std::max<int64_t>(20, 120 / n),
          .dimensions = 64,
          .image_bytes = std::max<int64_t>(30000, 900000 / n)};
}

ExitCode report(const Environment& environment, const Words& words) {
  ReportOptions options;
  OptionTable table = options.table();
  const std::optional<CommandLine> line =
      begin(report_command(), words, table, 1, most_runs, fmt::format("1 to {} folders of runs", most_runs));
  if (!line || environment.rank() != 0) return ExitCode::ok;
  const ReportLimits limits = limits_for(line->positional.size());
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  for (const std::string& run : line->positional) {
    nlohmann::ordered_json part = report_of_files(run, limits);
    if (options.model) part.update(report_of_model(run, limits));
    runs.push_back(std::move(part));
  }
  const fs::path out =
      options.out.empty() ? fs::path(line->positional.front()) / "report.html" : fs::path(options.out);
  const std::string page = report_page(runs, version());
  make_parent(out);
  write_file(out, page);
  log::info("{}: {} of {}", out.string(), human_bytes(static_cast<double>(page.size())),
            runs.size() == 1 ? "1 run" : fmt::format("{} runs", runs.size()));
  return ExitCode::ok;
}

}  // namespace

Command report_command() {
  return {"report", "RUN … [--out=FILE.html]",
          "writes a page that shows a run, or several side by side: curves, samples, codes, configuration",
          report};
}

}  // namespace elbo
