// A configuration, as a user or a run wrote it: an error that says what is wrong, or settings that can be
// written down and read again. An input: a byte that selects whose it is, the text.
#include "bytes.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/run/config.h"

using namespace elbo;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  log::set_enabled(false);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Bytes input(data, size);
  const bool of_a_run = input.next() % 2 == 1;
  const std::vector<uint8_t> rest = input.rest();
  const std::string text(rest.begin(), rest.end());
  std::unique_ptr<RunConfig> config;
  try {
    config = of_a_run ? saved_config(text, "a run") : parse_config(text, "a file", {});
  } catch (const Error&) {
    return 0;
  }
  const std::string written = config->saved_ini();
  if (saved_config(written, "again")->saved_ini() != written) std::abort();
  return 0;
}
