// What the numbers of tokens stand for (docs/data_format.md).
#pragma once
#include <torch/types.h>

#include <string>
#include <vector>

namespace elbo {

struct Vocabulary {
  std::vector<std::string> tokens;  // by number; the first four are special
  std::string kind;                 // how texts were cut: words, characters, byte_pairs, smiles; "" unknown

  // Rows (n, time) of tokens → n texts, from behind <bos> to before <eos>. Words, and tokens of an unknown
  // kind, get blanks between them.
  std::vector<std::string> texts(const torch::Tensor& rows) const;
};

}  // namespace elbo
