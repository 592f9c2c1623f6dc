// In place of convert.cpp in a build without converters (ELBO_CONVERT).
#include "elbo/commands/command.h"

namespace elbo {
namespace {

ExitCode convert(const Environment&, const Words&) {
  usage_error(
      "elbo convert: this elbo was built without its converters; build one with cmake -DELBO_CONVERT=ON");
}

}  // namespace

Command convert_command() {
  return {"convert", "FORMAT INPUT… --out=DATA.h5", "is not part of this build, which has no converters",
          convert};
}

}  // namespace elbo
