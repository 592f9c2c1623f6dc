#include "elbo/convert/byte_pairs.h"

#include <algorithm>
#include <queue>
#include <set>
#include <tuple>

#include "elbo/base/error.h"
#include "elbo/convert/tokens.h"

namespace elbo {
namespace {

std::vector<std::string> letters_of(const std::string& word) {
  std::vector<std::string> letters = characters_of(word);
  if (!letters.empty()) letters.back() += "</w>";
  return letters;
}

void merge(std::vector<std::string>& pieces, const Merge& pair) {
  std::vector<std::string> merged;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const bool together = i + 1 < pieces.size() && pieces[i] == pair.first && pieces[i + 1] == pair.second;
    merged.push_back(together ? pieces[i] + pieces[i + 1] : pieces[i]);
    if (together) ++i;
  }
  pieces = std::move(merged);
}

// The count of each pair in all words, updated as words change.
class PairCounts {
 public:
  void add(const std::vector<std::string>& pieces, size_t word, int64_t count) {
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      const Merge pair{pieces[i], pieces[i + 1]};
      Entry& entry = entries_[pair];
      entry.count += count;
      entry.words.insert(word);
      queue_.emplace(entry.count, pair);
    }
  }
  void remove(const std::vector<std::string>& pieces, int64_t count) {
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      const Merge pair{pieces[i], pieces[i + 1]};
      Entry& entry = entries_[pair];
      entry.count -= count;
      queue_.emplace(entry.count, pair);
    }
  }
  // The most frequent pair, its count, and all words that contain it or did so earlier.
  std::tuple<Merge, int64_t, std::set<size_t>> top() {
    while (!queue_.empty()) {
      const auto [count, pair] = queue_.top();
      const Entry& entry = entries_[pair];
      if (entry.count == count) return {pair, count, entry.words};
      queue_.pop();  // the count is out of date
    }
    return {};
  }

 private:
  struct Entry {
    int64_t count = 0;
    std::set<size_t> words;
  };
  struct Rarer {
    bool operator()(const std::pair<int64_t, Merge>& a, const std::pair<int64_t, Merge>& b) const {
      return a.first != b.first ? a.first < b.first : a.second > b.second;
    }
  };
  std::map<Merge, Entry> entries_;
  std::priority_queue<std::pair<int64_t, Merge>, std::vector<std::pair<int64_t, Merge>>, Rarer> queue_;
};

}  // namespace

std::vector<Merge> learn_merges(const std::unordered_map<std::string, int64_t>& words, int64_t most_symbols) {
  std::vector<std::pair<std::vector<std::string>, int64_t>> counted;
  std::set<std::string> symbols;
  PairCounts pairs;
  for (const auto& [word, count] : words) {
    counted.emplace_back(letters_of(word), count);
    symbols.insert(counted.back().first.begin(), counted.back().first.end());
    pairs.add(counted.back().first, counted.size() - 1, count);
  }
  if (static_cast<int64_t>(symbols.size()) > most_symbols)
    usage_error(
        "--vocabulary: the text has {} different characters, and 4 tokens are special; expected at least {}",
        symbols.size(), symbols.size() + 4);
  std::vector<Merge> merges;
  while (static_cast<int64_t>(symbols.size()) < most_symbols) {
    const auto [pair, count, places] = pairs.top();
    if (count < 2) break;
    for (const size_t place : places) {
      auto& [pieces, times] = counted[place];
      pairs.remove(pieces, times);
      merge(pieces, pair);
      pairs.add(pieces, place, times);
    }
    symbols.insert(pair.first + pair.second);
    merges.push_back(pair);
  }
  return merges;
}

BytePairs::BytePairs(const std::vector<Merge>& merges) {
  for (const Merge& pair : merges) ranks_.emplace(pair, ranks_.size());
}

const std::vector<std::string>& BytePairs::pieces_of(const std::string& word) {
  if (const auto found = cache_.find(word); found != cache_.end()) return found->second;
  std::vector<std::string> pieces = letters_of(word);
  while (true) {
    auto first = ranks_.end();
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      const auto found = ranks_.find({pieces[i], pieces[i + 1]});
      if (found != ranks_.end() && (first == ranks_.end() || found->second < first->second)) first = found;
    }
    if (first == ranks_.end()) break;
    merge(pieces, first->first);
  }
  return cache_.emplace(word, std::move(pieces)).first->second;
}

}  // namespace elbo
