// Text, one sentence per line, as rows of tokens.
#include "elbo/base/text.h"

#include <fmt/format.h>

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/special_tokens.h"
#include "elbo/convert/byte_pairs.h"
#include "elbo/convert/format.h"
#include "elbo/convert/tokens.h"

namespace elbo {
namespace {

struct TextOptions {
  std::string tokens = "words";
  bool lowercase = false;
  TokenOptions rows;
  void bind(OptionTable& table) {
    table.add_choice("tokens", tokens, {"characters", "words", "byte_pairs"},
                     "what a line is split into: characters; words and punctuation; or byte pairs, frequent "
                     "parts of words");
    table.add("lowercase", lowercase, "changes the capitals A to Z to small letters first");
    rows.bind(table);
  }
};

constexpr int64_t usual_byte_pairs = 8192;

std::vector<Merge> merges_of_lines(const Lines& lines, const Tokenizer& words, const TokenOptions& options) {
  std::unordered_map<std::string, int64_t> counts;
  lines([&](const TextLine& line) {
    if (!is_training(line)) return;
    for (const std::string& word : words(line.text)) ++counts[word];
  });
  return learn_merges(counts, options.vocabulary - special_tokens);
}

std::vector<Merge> merges_like(const Like& like) {
  std::vector<Merge> merges;
  for (const std::string& text : like.merges())
    if (const size_t blank = text.find(' '); blank != std::string::npos)
      merges.emplace_back(text.substr(0, blank), text.substr(blank + 1));
  return merges;
}

void convert_byte_pairs(const Lines& lines, const Tokenizer& words, const TokenOptions& given,
                        const Target& target) {
  TokenOptions options = given;
  if (options.vocabulary == 0 && options.like.path.empty()) options.vocabulary = usual_byte_pairs;
  const std::vector<Merge> merges =
      options.like.path.empty() ? merges_of_lines(lines, words, options) : merges_like(options.like);
  BytePairs pairs(merges);
  const Tokenizer pieces = [&](const std::string& line) {
    std::vector<std::string> result;
    for (const std::string& word : words(line)) {
      const std::vector<std::string>& more = pairs.pieces_of(word);
      result.insert(result.end(), more.begin(), more.end());
    }
    return result;
  };
  convert_tokens(lines, pieces, "byte_pairs", options, target, [&](DatasetWriter& out) {
    std::vector<std::string> texts;
    texts.reserve(merges.size());
    for (const auto& [left, right] : merges) texts.push_back(fmt::format("{} {}", left, right));
    out.write_texts("/merges", texts);
  });
}

void convert_text(const std::vector<std::string>& inputs, const Target& target, const TextOptions& options) {
  const Tokenizer cut = options.tokens == "characters" ? characters_of : words_of;
  const Tokenizer tokenizer = [&](const std::string& line) {
    return cut(options.lowercase ? lower_case(line) : line);
  };
  const Lines lines = lines_of_files(inputs);
  if (options.tokens == "byte_pairs") {
    convert_byte_pairs(lines, tokenizer, options.rows, target);
  } else {
    convert_tokens(lines, tokenizer, options.tokens, options.rows, target);
  }
}

}  // namespace

Format text_format() {
  return {.name = "text",
          .takes = "FILE…",
          .summary =
              "UTF-8 text, one sentence per line, gzipped or not; files named train, validation or test give "
              "the splits",
          .least = 1,
          .most = 1000,
          .bind = with_options(convert_text)};
}

}  // namespace elbo
