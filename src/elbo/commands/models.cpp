#include <fmt/format.h>

#include "elbo/base/text.h"
#include "elbo/commands/command.h"
#include "elbo/models/registry.h"

namespace elbo {
namespace {

ExitCode models(const Environment& environment, const Words& words) {
  OptionTable none;
  const std::optional<CommandLine> line =
      begin(models_command(), words, none, 0, 1, "the name of a model, or nothing");
  if (!line) return ExitCode::ok;
  const size_t width = terminal_columns();
  if (line->positional.empty()) {
    if (environment.rank() == 0)
      for (const auto& spec : all_models())
        fmt::print("{}{}", hanging(spec->name(), spec->summary(), 18, width),
                   hanging("", spec->reference(), 18, width));
    return ExitCode::ok;
  }
  const std::unique_ptr<ModelSpec> spec = find_model(line->positional[0]);
  OptionTable table;
  spec->bind(table);
  if (environment.rank() == 0)
    fmt::print("{}{}\n{}", hanging("", fmt::format("{}: {}", spec->name(), spec->summary()), 0, width),
               hanging("", spec->reference(), 0, width), table.help(width));
  return ExitCode::ok;
}

}  // namespace

Command models_command() {
  return {"models", "[NAME]",
          "lists the variants with their papers; with NAME, its options and their defaults", models};
}

}  // namespace elbo
