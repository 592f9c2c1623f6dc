#include <fmt/format.h>

#include "base/log.h"
#include "commands/command.h"
#include "data/convert_idx.h"

namespace elbo {
namespace {

ExitCode convert(const Environment& environment, const CommandLine& line) {
  ConvertOptions options;
  OptionTable table;
  table.add("out", options.out, "HDF5 file to write; must not exist");
  table.add("name", options.name, "what the data set is called; empty: the file's name");
  table.add("source", options.source, "where the data come from");
  table.add("license", options.license, "under which licence");
  if (line.help) {
    print_help(convert_command(), table);
    return ExitCode::ok;
  }
  apply(line, table);
  require_words(convert_command(), line, 2, 1000, "a format and its files");
  const std::string& format = line.positional[0];
  if (format != "idx") usage_error("elbo convert {}: unknown format; expected idx", format);
  if (options.out.empty()) usage_error("--out: names no file; expected one to write, as --out=DATA.h5");
  if (environment.rank() != 0) return ExitCode::ok;
  convert_idx({line.positional.begin() + 1, line.positional.end()}, options);
  log::info("{} is written; elbo inspect {} shows what it holds", options.out, options.out);
  return ExitCode::ok;
}

}  // namespace

Command convert_command() {
  return {"convert", "idx IMAGES [LABELS] … --out=DATA.h5",
          "makes a data set of other formats (idx: MNIST and its relatives; files named t10k… or …test… "
          "become the test split)",
          convert};
}

}  // namespace elbo
