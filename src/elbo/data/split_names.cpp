#include "elbo/data/split_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <utility>

#include "elbo/base/text.h"

namespace elbo {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 12> split_words{
    {{"train", "train"},
     {"training", "train"},
     {"validation", "validation"},
     {"valid", "validation"},
     {"val", "validation"},
     {"dev", "validation"},
     {"test", "test"},
     {"testing", "test"},
     {"eval", "test"},
     {"holdout", "test"},
     {"heldout", "test"},
     {"t10k", "test"}}};
constexpr std::array<std::string_view, 15> row_words{"x",        "data",  "image",  "images",  "img",
                                                     "imgs",     "input", "inputs", "row",     "rows",
                                                     "features", "xs",    "sample", "samples", "photos"};
constexpr std::array<std::string_view, 9> label_words{"y",     "label",   "labels", "target",    "targets",
                                                      "class", "classes", "ys",     "categories"};

// Lower case, without separators.
std::string bare(const std::string& name) {
  std::string letters = lower_case(name);
  std::erase_if(letters, [](unsigned char c) { return std::isalnum(c) == 0; });
  return letters;
}

ArrayRole role_of_word(std::string_view word) {
  if (std::ranges::find(row_words, word) != row_words.end()) return ArrayRole::rows;
  if (std::ranges::find(label_words, word) != label_words.end()) return ArrayRole::labels;
  return ArrayRole::none;
}

}  // namespace

std::string split_meant(const std::string& name) {
  const std::string word = bare(name);
  const auto* const found =
      std::ranges::find(split_words, std::string_view(word), [](const auto& words) { return words.first; });
  return found == split_words.end() ? "" : std::string(found->second);
}

ArrayRole role_meant(const std::string& name) { return role_of_word(bare(name)); }

NamedArray array_meant(const std::string& name) {
  const std::string whole = bare(name);
  const std::string_view word = whole;
  for (const auto& [text, split] : split_words) {
    if (word == text) return {.split = std::string(split), .role = ArrayRole::rows};
    std::string_view rest;
    if (word.starts_with(text)) {
      rest = word.substr(text.size());
      if (rest.starts_with("set") && rest.size() > 3) rest.remove_prefix(3);
    } else if (word.ends_with(text)) {
      rest = word.substr(0, word.size() - text.size());
    }
    if (const ArrayRole role = role_of_word(rest); role != ArrayRole::none)
      return {.split = std::string(split), .role = role};
  }
  return {};
}

}  // namespace elbo
