// The only function in this file: if a program defines all_models(), the linker does not use this one.
#include "elbo/models/builtin_models.h"

namespace elbo {

std::vector<std::unique_ptr<ModelSpec>> all_models() { return builtin_models(); }

}  // namespace elbo
