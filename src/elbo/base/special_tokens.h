// Ids of the special tokens, the first entries of every vocabulary (docs/data_format.md).
#pragma once
#include <cstdint>

namespace elbo {

enum SpecialToken : int32_t { pad_token, bos_token, eos_token, unk_token, special_tokens };

}  // namespace elbo
