// What to train with where nothing but the data is given: settings that follow from the data, and why.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/data/dataset.h"
#include "elbo/run/choices.h"

namespace elbo {

// How long the user wants the run to be; 0: that is chosen, too.
struct WantedLength {
  int64_t steps = 0, epochs = 0;
};

// A function of the rows alone: of their number, their shape and their values, not of how they are stored.
// Collective.
std::vector<Choice> auto_config(Communicator& world, const Dataset& data, const WantedLength& wanted = {});

// As an INI file, each line with its reason.
std::string as_ini(const std::vector<Choice>& choices);

}  // namespace elbo
