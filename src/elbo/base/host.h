// The host that this process runs on.
#pragma once
#include <string>

namespace elbo {

std::string host_name();

}  // namespace elbo
