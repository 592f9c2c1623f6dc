#include "elbo/data/vocabulary.h"

#include <torch/types.h>

#include "elbo/base/special_tokens.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

const char* const end_of_word = "</w>";  // Sennrich et al. 2016
const char* const unknown = "<unk>";     // replaces a whole word

std::string joined_byte_pairs(const std::vector<std::string>& tokens) {
  std::string text;
  for (const std::string& token : tokens) {
    const size_t mark = token.rfind(end_of_word);
    const bool ends = mark != std::string::npos || token == unknown;
    text += mark == std::string::npos ? token : token.substr(0, mark);
    if (ends) text += ' ';
  }
  if (text.ends_with(' ')) text.pop_back();
  return text;
}

}  // namespace

std::vector<std::string> Vocabulary::texts(const torch::Tensor& rows) const {
  const torch::Tensor numbers = rows.to(torch::kInt64).contiguous();
  std::vector<std::string> all;
  all.reserve(static_cast<size_t>(numbers.size(0)));
  for (int64_t row = 0; row < numbers.size(0); ++row) {
    std::vector<std::string> words;
    const auto* data = numbers.const_data_ptr<int64_t>() + row * numbers.size(1);
    for (int64_t i = 0; i < numbers.size(1) && data[i] != eos_token; ++i)
      if (data[i] != pad_token && data[i] != bos_token)
        words.push_back(tokens.at(static_cast<size_t>(data[i])));
    all.push_back(kind == "byte_pairs" ? joined_byte_pairs(words)
                                       : join(words, kind == "characters" || kind == "smiles" ? "" : " "));
  }
  return all;
}

}  // namespace elbo
