// What to train with where nothing but the data is given: settings that follow from the data, and why.
#pragma once
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/data/dataset.h"

namespace elbo {

struct Choice {
  Setting setting;
  std::string why;
};

// A function of the rows alone: of their number, their shape and a sample of their values, not of how they
// are stored.
std::vector<Choice> auto_config(const Dataset& data);

// As an INI file, each line with its reason.
std::string as_ini(const std::vector<Choice>& choices);

}  // namespace elbo
