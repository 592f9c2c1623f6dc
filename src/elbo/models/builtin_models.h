// For programs that are linked to elbo's libraries and have variants of their own (docs/own_variant): they
// define all_models(), which all commands read, as these and theirs.
#pragma once
#include <memory>
#include <vector>

#include "elbo/models/registry.h"

namespace elbo {

std::vector<std::unique_ptr<ModelSpec>> builtin_models();

}  // namespace elbo
