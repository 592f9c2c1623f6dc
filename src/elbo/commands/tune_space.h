// What a search looks through: settings with several values, of which trials are drawn.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/base/random.h"

namespace elbo {

// The values that a setting may have: a range of numbers, or a list.
struct SearchedValues {
  std::string key;
  std::vector<std::string> list{};  // empty: a range
  double low = 0, high = 0;
  bool logarithmic = false, whole = false;

  std::string draw(Key random) const;  // as the text of a setting
};

// What is searched, and the settings that all trials share.
struct Space {
  std::vector<SearchedValues> searched;
  std::vector<Setting> fixed;
};

// Of the command line: KEY=LOW..HIGH[:log] and KEY=A,B,… are searched. Throws a usage Error for values that
// are none, and where nothing is searched.
Space read_space(const std::vector<Setting>& settings);

// The settings of `count` trials, each a function of the seed and its number. Fewer trials where a space has
// fewer settings.
std::vector<std::vector<Setting>> draw_trials(const Space& space, int64_t count, int64_t seed);

}  // namespace elbo
