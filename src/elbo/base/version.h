// Which elbo this is: the version of CMakeLists.txt's project(), said by --version and written into
// checkpoints.
#pragma once
#include <string>

namespace elbo {

std::string version();  // "1.2.3"

}  // namespace elbo
