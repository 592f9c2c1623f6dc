// The two parts of `elbo tune`: the learning rate alone, and a search over settings.
#pragma once
#include "elbo/base/options.h"
#include "elbo/commands/command.h"

namespace elbo {

// elbo tune lr CONFIG.ini: trains for some steps while the learning rate rises.
ExitCode tune_lr(const Environment& environment, const Words& words);

// elbo tune CONFIG.ini --section.key=VALUES …: trials with random settings, by successive halving.
ExitCode tune_settings(const Environment& environment, const Words& words);

// For the help of the command.
OptionTable tune_lr_options();
OptionTable tune_settings_options();

}  // namespace elbo
