#include "elbo/convert/tokens.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cctype>
#include <cstring>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/special_tokens.h"
#include "elbo/convert/byte_source.h"

namespace elbo {
namespace {

// The size in bytes of the code point at `place`; 0 if there is none.
size_t code_point(const std::string& text, size_t place) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : '\0'); };
  const unsigned char first = byte(place);
  const size_t size = first < 0x80   ? 1
                      : first < 0xc2 ? 0
                      : first < 0xe0 ? 2
                      : first < 0xf0 ? 3
                      : first < 0xf5 ? 4
                                     : 0;
  if (first == 0) return 0;
  for (size_t i = 1; i < size; ++i)
    if ((byte(place + i) & 0xc0U) != 0x80) return 0;
  return size;
}

bool belongs_to_word(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || std::isalnum(byte) != 0 || c == '\'' || c == '_';
}

size_t smiles_token(const std::string& text, size_t place) {
  const char c = text[place];
  const char next = place + 1 < text.size() ? text[place + 1] : '\0';
  if (c == '[') {
    const size_t end = text.find(']', place);
    return end == std::string::npos || end == place + 1 ? 0 : end - place + 1;
  }
  if ((c == 'C' && next == 'l') || (c == 'B' && next == 'r')) return 2;
  if (c == '%') {
    const auto digit = [&](size_t i) {
      return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0;
    };
    return digit(place + 1) && digit(place + 2) ? 3 : 0;
  }
  return std::strchr("BCNOSPFIbcnosp*()=#$-:/\\.~@+?>0123456789", c) != nullptr ? 1 : 0;
}

// The special tokens, then the most frequent others.
class TokenNumbers {
 public:
  TokenNumbers(const std::unordered_map<std::string, int64_t>& counts, int64_t most) {
    std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
    std::ranges::sort(sorted, [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    for (const auto& [token, count] : sorted) {
      if (most > 0 && static_cast<int64_t>(names_.size()) >= most) break;
      numbers_.emplace(token, static_cast<int32_t>(names_.size()));
      names_.push_back(token);
    }
  }
  explicit TokenNumbers(std::vector<std::string> names) : names_(std::move(names)) {
    for (size_t i = special_tokens; i < names_.size(); ++i)
      numbers_.emplace(names_[i], static_cast<int32_t>(i));
  }
  int32_t operator()(const std::string& token) const {
    const auto found = numbers_.find(token);
    return found == numbers_.end() ? int32_t{unk_token} : found->second;
  }
  const std::vector<std::string>& names() const { return names_; }
  torch::ScalarType type() const {  // the smallest that can hold the numbers
    return names_.size() <= 256 ? torch::kUInt8 : names_.size() <= 32768 ? torch::kInt16 : torch::kInt32;
  }

 private:
  std::vector<std::string> names_{"<pad>", "<bos>", "<eos>", "<unk>"};
  std::unordered_map<std::string, int32_t> numbers_;
};

// Collects rows and writes them in batches.
class TokenSink {
 public:
  TokenSink(RowWriter& out, int64_t length, torch::ScalarType type, bool has_names)
      : out_(out), length_(length), type_(type), has_names_(has_names) {}
  void add(const std::vector<int32_t>& row, const TextLine& line) {
    if (line.split != split_ || ids_.size() > most_waiting) flush();
    split_ = line.split;
    if (has_names_) names_.push_back(line.name);
    ids_.insert(ids_.end(), row.begin(), row.end());
    ids_.resize(ids_.size() + static_cast<size_t>(length_) - row.size(), pad_token);
    lengths_.push_back(static_cast<int32_t>(row.size()));
  }
  void flush() {
    if (lengths_.empty()) return;
    out_.append({{"x", torch::tensor(ids_, torch::kInt32).reshape({-1, length_}).to(type_)},
                 {"length", torch::tensor(lengths_, torch::kInt32)}},
                split_, names_);
    ids_.clear();
    lengths_.clear();
    names_.clear();
  }

 private:
  static constexpr size_t most_waiting = size_t{1} << 18;
  RowWriter& out_;
  int64_t length_;
  torch::ScalarType type_;
  bool has_names_;
  std::string split_;
  std::vector<int32_t> ids_, lengths_;
  std::vector<std::string> names_;
};

// Of --like; empty without it.
std::vector<std::string> vocabulary_of(const TokenOptions& options, const std::string& tokens) {
  const std::optional<DataDescription> like = options.like.description();
  if (!like) return {};
  if (like->vocabulary.tokens.size() <= special_tokens || like->vocabulary.kind != tokens)
    usage_error("--like={}: its rows are {}; expected {}", options.like.path,
                like->vocabulary.kind.empty() ? "no tokens that elbo convert made" : like->vocabulary.kind,
                tokens);
  if (options.vocabulary > 0)
    usage_error("--vocabulary={}: the vocabulary is that of --like={}", options.vocabulary,
                options.like.path);
  return like->vocabulary.tokens;
}

}  // namespace

std::vector<std::string> characters_of(const std::string& line) {
  std::vector<std::string> result;
  for (size_t place = 0; place < line.size();) {
    const size_t size = code_point(line, place);
    if (size == 0)
      usage_error("is not UTF-8 (byte {} of the line is 0x{:02x}); convert it with iconv", place + 1,
                  static_cast<unsigned char>(line[place]));
    result.push_back(line.substr(place, size));
    place += size;
  }
  return result;
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> result;
  characters_of(line);  // throws if it is not UTF-8
  for (size_t place = 0; place < line.size();) {
    size_t end = place + 1;
    if (belongs_to_word(line[place]))
      while (end < line.size() && belongs_to_word(line[end])) ++end;
    if (std::isspace(static_cast<unsigned char>(line[place])) == 0)
      result.push_back(line.substr(place, end - place));
    place = end;
  }
  return result;
}

std::vector<std::string> smiles_of(const std::string& line) {
  std::vector<std::string> result;
  characters_of(line);  // throws if it is not UTF-8
  for (size_t place = 0; place < line.size();) {
    const size_t size = smiles_token(line, place);
    if (size == 0)
      usage_error("'{}' is not a SMILES string: '{}' (character {}) does not start an atom, bond or ring",
                  line, line[place], place + 1);
    result.push_back(line.substr(place, size));
    place += size;
  }
  return result;
}

void TokenOptions::bind(OptionTable& table) {
  table.add(
      "vocabulary", vocabulary,
      "number of different tokens, including the four special ones; rarer tokens become <unk>; 0: no limit",
      Range::between(0, 10000000));
  table.add("length", length,
            "tokens of a row, including <bos> and <eos>; 0: as many as the longest line needs",
            Range::between(0, 100000));
  table.add_choice("longer", longer, {"drop", "cut"}, "what happens to longer lines");
  like.bind(table,
            "the folder of a run, or its data set, for new rows of its model: its vocabulary is written");
  splits.bind(table);
}

Lines lines_of_files(const std::vector<std::string>& paths) {
  return [paths](const std::function<void(const TextLine&)>& take) {
    for (const std::string& path : paths) {
      LineReader reader(open_bytes(path));
      TextLine line{.text = "", .split = split_of_file(path), .path = &path};
      bool any = false;
      while (reader.next(line.text)) {
        if (line.text.find_first_not_of(" \t") == std::string::npos) continue;
        any = true;
        line.number = reader.number();
        try {
          take(line);
        } catch (const Error& error) {
          throw Error(error.code(), fmt::format("{}, line {}: {}", path, reader.number(), error.what()));
        }
      }
      if (!any) usage_error("{}: has no lines; expected a text", path);
    }
  };
}

void convert_tokens(const Lines& lines, const Tokenizer& tokenizer, const std::string& tokens,
                    const TokenOptions& options, const Target& target,
                    const std::function<void(DatasetWriter&)>& finish) {
  if (options.length == 1 || options.length == 2)
    usage_error("--length={}: expected at least 3, as <bos> and <eos> are two tokens", options.length);
  if (options.vocabulary > 0 && options.vocabulary < 5)
    usage_error("--vocabulary={}: expected at least 5, as four tokens are special", options.vocabulary);
  const std::vector<std::string> given = vocabulary_of(options, tokens);
  std::unordered_map<std::string, int64_t> counts;
  int64_t longest = 0;
  bool has_names = false;
  lines([&](const TextLine& line) {
    const std::vector<std::string> parts = tokenizer(line.text);
    longest = std::max(longest, static_cast<int64_t>(parts.size()));
    has_names = has_names || !line.name.empty();
    if (is_training(line))
      for (const std::string& part : parts) ++counts[part];
  });
  if (counts.empty() && given.empty())
    usage_error("{}: the input has no training lines; its vocabulary would be empty", target.out);
  const TokenNumbers vocabulary =
      given.empty() ? TokenNumbers(counts, options.vocabulary) : TokenNumbers(given);
  const int64_t length = options.length == 0 ? longest + 2 : options.length;
  DatasetWriter out(target, "tokens");
  RowWriter rows(out, options.splits);
  TokenSink sink(rows, length, vocabulary.type(), has_names);
  int64_t dropped = 0, cut = 0;
  lines([&](const TextLine& line) {
    std::vector<std::string> parts = tokenizer(line.text);
    if (const auto most = static_cast<size_t>(length - 2); parts.size() > most) {
      ++(options.longer == "drop" ? dropped : cut);
      if (options.longer == "drop") return;
      parts.resize(most);
    }
    std::vector<int32_t> row{bos_token};
    for (const std::string& part : parts) row.push_back(vocabulary(part));
    row.push_back(eos_token);
    sink.add(row, line);
  });
  sink.flush();
  rows.finish();
  if (dropped > 0) log::info("{} lines of more than {} tokens were left out", dropped, length - 2);
  if (cut > 0) log::info("{} lines of more than {} tokens were cut", cut, length - 2);
  out.write_texts("/vocabulary", vocabulary.names());
  out.attribute("/", "tokens", tokens);
  if (finish) finish(out);
  out.commit();
}

}  // namespace elbo
