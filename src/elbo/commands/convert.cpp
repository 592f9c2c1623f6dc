#include <fmt/format.h>

#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/commands/command.h"
#include "elbo/convert/format.h"

namespace elbo {
namespace {

void print_formats() {
  const size_t width = terminal_columns();
  print_help(convert_command(), {});
  fmt::print("\nformats and what they take:\n");
  for (const Format& format : all_formats())
    fmt::print("{}{}", hanging("  " + format.name, format.takes, 16, width),
               hanging("", format.summary, 16, width));
  fmt::print("\nelbo convert FORMAT --help lists a format's options.\n");
}

// The command as it is for one format, for its help and its messages.
Command command_of(const Format& format) {
  return {.name = "convert",
          .usage = fmt::format("{} {} --out=DATA.h5", format.name, format.takes),
          .summary = format.summary,
          .run = {}};
}

// Of an option of any format: which one it is, is known after the command line was read.
OptionKind kind_of(const std::string& key) {
  OptionKind kind = OptionKind::unknown;
  Target target;
  for (const Format& format : all_formats()) {
    OptionTable table;
    target.bind(table);
    const Format::Conversion run = format.bind(table);
    if (kind == OptionKind::unknown) kind = table.kind(key);
  }
  return kind;
}

ExitCode convert(const Environment& environment, const Words& words) {
  const CommandLine line = parse_command_line(words, kind_of);
  if (line.help && line.positional.empty()) {
    print_formats();
    return ExitCode::ok;
  }
  if (line.positional.empty())
    usage_error("elbo convert: expected a format and its files; elbo convert --help lists the formats");
  const Format format = find_format(line.positional[0]);
  Target target;
  OptionTable table;
  target.bind(table);
  const Format::Conversion run = format.bind(table);
  if (!begin(command_of(format), words, table, 1 + format.least, 1 + format.most, "a format and its files"))
    return ExitCode::ok;
  if (environment.rank() != 0) return ExitCode::ok;
  run({line.positional.begin() + 1, line.positional.end()}, target);
  log::info("{} is written; elbo inspect {} shows what it holds", target.out, target.out);
  return ExitCode::ok;
}

}  // namespace

Command convert_command() {
  return {"convert", "FORMAT INPUT… --out=DATA.h5", "converts files of other formats to a data set", convert};
}

}  // namespace elbo
