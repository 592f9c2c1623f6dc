// The version of CMake's project(), printed by --version and written to checkpoints.
#pragma once
#include <string>

namespace elbo {

std::string version();  // "1.2.3"

}  // namespace elbo
