// Byte pair encoding: words as sequences of subwords (Sennrich, Haddow & Birch 2016).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace elbo {

using Merge = std::pair<std::string, std::string>;

// The merges, most frequent first, until there are `most_symbols` different subwords or no pair occurs twice.
// The last character of a word ends with "</w>". Ties are broken by the order of bytes. Throws a usage Error
// if the text has more than `most_symbols` different characters.
std::vector<Merge> learn_merges(const std::unordered_map<std::string, int64_t>& words, int64_t most_symbols);

class BytePairs {
 public:
  explicit BytePairs(const std::vector<Merge>& merges);
  // The subwords of a word. Results are cached.
  const std::vector<std::string>& pieces_of(const std::string& word);

 private:
  std::map<Merge, size_t> ranks_;
  std::unordered_map<std::string, std::vector<std::string>> cache_;
};

}  // namespace elbo
