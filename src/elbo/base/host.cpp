#include "elbo/base/host.h"

#include <unistd.h>

#include <array>

namespace elbo {

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "an unnamed host";
  return name.data();
}

}  // namespace elbo
