// Words as pieces of words: byte pair encoding (Sennrich, Haddow & Birch 2016).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace elbo {

using Merge = std::pair<std::string, std::string>;

// The merges, most frequent first, until there are `most_symbols` different pieces or no pair occurs twice.
// The last character of a word carries "</w>". Among pairs of one count the first in the order of bytes is
// merged. Throws a usage Error if the characters alone are more.
std::vector<Merge> learn_merges(const std::unordered_map<std::string, int64_t>& words, int64_t most_symbols);

class BytePairs {
 public:
  explicit BytePairs(const std::vector<Merge>& merges);
  // The pieces of a word; remembers them.
  const std::vector<std::string>& pieces_of(const std::string& word);

 private:
  std::map<Merge, size_t> ranks_;
  std::unordered_map<std::string, std::vector<std::string>> known_;
};

}  // namespace elbo
