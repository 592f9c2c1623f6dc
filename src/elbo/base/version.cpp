#include "elbo/base/version.h"

namespace elbo {

std::string version() { return ELBO_VERSION; }

}  // namespace elbo
