// Alone in its file: where a program defines all_models() itself, the linker does not take this one.
#include "elbo/models/builtin_models.h"

namespace elbo {

std::vector<std::unique_ptr<ModelSpec>> all_models() { return builtin_models(); }

}  // namespace elbo
