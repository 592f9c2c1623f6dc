// A training phase: one optimiser and the parameters that it updates.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace elbo {

struct Phase {
  std::string name;
  // Names of submodules that are consecutive in order of registration, so that their parameters form one
  // range of the flat parameters. Empty: the whole model.
  std::vector<std::string> modules;
  double lr_factor = 1;  // multiplies optimizer.lr; a discriminator often needs another learning rate
  // The steps in which the phase is active, for models that are trained in stages.
  int64_t first_step = 0, end_step = std::numeric_limits<int64_t>::max();
  bool active(int64_t step) const { return step >= first_step && step < end_step; }
};

}  // namespace elbo
