// Settings that have no effect beside others.
#pragma once
#include <string>
#include <vector>

#include "elbo/base/options.h"

namespace elbo {

struct UnusedSetting {
  std::string key;
  std::string why;  // what it needs
};

// Settings that differ from their default and have no effect, such as optimizer.min_lr without a cosine
// schedule.
std::vector<UnusedSetting> unused_settings(const OptionTable& table);

// Throws a usage Error for the first of them, and for a schedule without the numbers that it needs.
void require_settings_with_effect(const OptionTable& table);

}  // namespace elbo
