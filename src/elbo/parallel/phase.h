// A phase: one optimiser and the parameters that it may change.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace elbo {

struct Phase {
  std::string name;
  // Names of the model's sub-modules, which must follow one another in order of registration: their
  // parameters are one range of the arena. Empty: the whole model.
  std::vector<std::string> modules;
  double lr_factor = 1;  // of optimizer.lr: an adversary often learns at a pace of its own
  // Steps in which it takes part, for models that are trained in stages.
  int64_t first_step = 0, end_step = std::numeric_limits<int64_t>::max();
  bool active(int64_t step) const { return step >= first_step && step < end_step; }
};

}  // namespace elbo
