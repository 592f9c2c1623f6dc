// A phase: one optimiser and the parameters that it may change.
#pragma once
#include <string>
#include <vector>

namespace elbo {

struct Phase {
  std::string name;
  // Names of the model's sub-modules, which must follow one another in order of registration: their
  // parameters are one range of the arena. Empty: the whole model.
  std::vector<std::string> modules;
  double lr_factor = 1;  // of optimizer.lr: an adversary often learns at a pace of its own
};

}  // namespace elbo
