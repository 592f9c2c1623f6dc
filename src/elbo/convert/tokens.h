// Lines of text as tokens, and tokens as numbers.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "elbo/convert/splits.h"

namespace elbo {

// Code points of UTF-8. Throws a usage Error for bytes that are none, or are NUL.
std::vector<std::string> characters_of(const std::string& line);
// Runs of letters, digits, apostrophes, underscores and anything beyond ASCII; every other mark by itself.
// Blanks only separate.
std::vector<std::string> words_of(const std::string& line);
// Atoms (Cl, Br and bracketed ones are one token), bonds, branches, ring numbers (%12 is one): the tokens of
// Schwaller et al. 2019. Throws a usage Error for what is no SMILES.
std::vector<std::string> smiles_of(const std::string& line);

struct TokenOptions {
  int64_t vocabulary = 0, length = 0;
  std::string longer = "drop";
  SplitOptions splits;
  void bind(OptionTable& table);
};

struct TextLine {
  std::string text, split;
};

// What reads all lines of all inputs, once for each call.
using Lines = std::function<void(const std::function<void(const TextLine&)>& take)>;
using Tokenizer = std::function<std::vector<std::string>(const std::string& line)>;

// Reads lines of files, the empty ones left out, with the split that each file's name names. What `take`
// throws gets file and line in front. Throws a usage Error for a file without lines.
Lines lines_of_files(const std::vector<std::string>& paths);

// Writes rows <bos> tokens <eos> <pad> … and the vocabulary, which is counted over all lines but those of
// files named validation or test. `tokens` is what the root attribute of that name says. More is written by
// `finish`.
void convert_tokens(const Lines& lines, const Tokenizer& tokenizer, const std::string& tokens,
                    const TokenOptions& options, const Target& target,
                    const std::function<void(DatasetWriter&)>& finish = {});

inline bool is_training(const TextLine& line) { return line.split.empty() || line.split == "train"; }

}  // namespace elbo
