// The variants of elbo, for programs that add their own (docs/own_variant): they define all_models(), the
// table that all commands use, as these variants and theirs.
#pragma once
#include <memory>
#include <vector>

#include "elbo/models/registry.h"

namespace elbo {

std::vector<std::unique_ptr<ModelSpec>> builtin_models();

}  // namespace elbo
