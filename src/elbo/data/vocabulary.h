// The texts of the tokens (docs/data_format.md).
#pragma once
#include <torch/types.h>

#include <string>
#include <vector>

namespace elbo {

struct Vocabulary {
  std::vector<std::string> tokens;  // by id; the first four are special tokens
  std::string kind;                 // of tokenisation: words, characters, byte_pairs, smiles; "": unknown

  // Decodes rows (n, time) of tokens to n texts, from <bos> to <eos>, without special tokens except <unk>.
  // Words, and tokens of an unknown kind, are separated by blanks.
  std::vector<std::string> texts(const torch::Tensor& rows) const;
};

}  // namespace elbo
