// Files of other formats: the result is an error and no file, or a data set that can be opened. An input: the
// case, the file.
#include <torch/types.h>

#include <fstream>

#include "bytes.h"
#include "cases.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/convert/format.h"
#include "elbo/data/dataset.h"

using namespace elbo;
namespace fs = std::filesystem;

namespace {

void convert(const fuzz::Case& chosen, const fs::path& folder, const fs::path& out) {
  const Format format = find_format(chosen.format);
  Target target;
  OptionTable table;
  target.bind(table);
  const Format::Conversion run = format.bind(table);
  table.set({"out", out}, "--");
  for (const Setting& setting : chosen.settings) table.set(setting, "--");
  run({folder / chosen.given}, target);
}

void require(bool holds, const char* what) {
  if (holds) return;
  fmt::print(stderr, "{}\n", what);
  std::abort();
}

void require_rows(const fs::path& path) {
  DataOptions options;
  options.path = path;
  const Dataset dataset(options);
  for (const std::string& split : dataset.splits())
    require(dataset.split(split).rows() > 0, "a split without rows was written");
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  log::set_enabled(false);
  torch::set_num_threads(1);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto cases = fuzz::cases();
  static const fs::path folder = fs::temp_directory_path() / "elbo_convert", out = folder / "out" / "out.h5";
  fuzz::Bytes input(data, size);
  const fuzz::Case& chosen = input.choose(cases);
  const std::vector<uint8_t> bytes = input.rest();
  fs::create_directories((folder / chosen.file).parent_path());
  fs::create_directories(out.parent_path());
  std::ofstream(folder / chosen.file, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  try {
    convert(chosen, folder, out);
  } catch (const Error&) {
    require(fs::is_empty(out.parent_path()), "what was refused left a file behind");
    return 0;
  }
  require_rows(out);
  fs::remove(out);
  return 0;
}
