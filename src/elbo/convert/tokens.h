// Tokenizers, and lines of text as rows of token numbers.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "elbo/convert/like.h"
#include "elbo/convert/splits.h"

namespace elbo {

// The code points of a line. Throws a usage Error for invalid UTF-8 and for NUL.
std::vector<std::string> characters_of(const std::string& line);
// Words are runs of letters, digits, apostrophes, underscores and non-ASCII characters. Every other character
// but blanks is a token.
std::vector<std::string> words_of(const std::string& line);
// The tokens of Schwaller et al. 2019: atoms (Cl, Br and bracketed atoms are one token), bonds, branches and
// ring numbers (%12 is one token). Throws a usage Error for a line that is not a SMILES string.
std::vector<std::string> smiles_of(const std::string& line);

struct TokenOptions {
  int64_t vocabulary = 0, length = 0;
  std::string longer = "drop";
  Like like;
  SplitOptions splits;
  void bind(OptionTable& table);
};

struct TextLine {
  std::string text, split;
  const std::string* path = nullptr;  // of its file
  int64_t number = 0;                 // in it, from 1
  std::string name{};                 // of its row, where it has one
};

// Reads all lines of all inputs in each call.
using Lines = std::function<void(const std::function<void(const TextLine&)>& take)>;
using Tokenizer = std::function<std::vector<std::string>(const std::string& line)>;

// The lines of files without empty ones, with the split that the file's name gives. An Error of `take` is
// prefixed with file and line. Throws a usage Error for a file without lines.
Lines lines_of_files(const std::vector<std::string>& paths);

// Writes rows <bos> tokens <eos> <pad> …, the vocabulary, which is that of --like or counted over training
// lines, and the names of rows if a line has one. `tokens` is the value of the root attribute of that name.
// `finish` may write more datasets.
void convert_tokens(const Lines& lines, const Tokenizer& tokenizer, const std::string& tokens,
                    const TokenOptions& options, const Target& target,
                    const std::function<void(DatasetWriter&)>& finish = {});

inline bool is_training(const TextLine& line) { return line.split.empty() || line.split == "train"; }

}  // namespace elbo
