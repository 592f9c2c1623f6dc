#include "elbo/commands/tune.h"

#include <fmt/format.h>

#include <algorithm>

#include "elbo/base/text.h"

namespace elbo {
namespace {

ExitCode tune(const Environment& environment, const Words& words) {
  if (std::ranges::find(words, "--help") != words.end()) {
    OptionTable settings = tune_settings_options();
    print_help(tune_command(), settings);
    fmt::print("\nOf elbo tune lr CONFIG.ini:\n{}\n", tune_lr_options().help(terminal_columns()));
    return ExitCode::ok;
  }
  return std::ranges::find(words, "lr") != words.end() ? tune_lr(environment, words)
                                                       : tune_settings(environment, words);
}

}  // namespace

Command tune_command() {
  return {"tune", "CONFIG.ini --section.key=LOW..HIGH[:log] … [--trials=16], or: lr CONFIG.ini",
          "searches for settings with random trials, of which the better ones are trained on; with lr it "
          "proposes "
          "a learning rate: trains for some steps while it rises, and looks where the loss falls fastest",
          tune};
}

}  // namespace elbo
