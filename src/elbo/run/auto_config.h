// What to train with where nothing but the data is given: settings that follow from the data, and why.
#pragma once
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/comm/communicator.h"
#include "elbo/data/dataset.h"

namespace elbo {

struct Choice {
  Setting setting;
  std::string why;
};

// A function of the rows alone: of their number, their shape and their values, not of how they are stored.
// Collective.
std::vector<Choice> auto_config(Communicator& world, const Dataset& data);

// As an INI file, each line with its reason.
std::string as_ini(const std::vector<Choice>& choices);

}  // namespace elbo
