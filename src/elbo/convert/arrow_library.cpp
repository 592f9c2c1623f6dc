#include "elbo/convert/arrow_library.h"

#include <fmt/format.h>

#include <array>
#include <fstream>

#include "elbo/base/error.h"
#include "elbo/base/plugin.h"

namespace elbo {
namespace {

std::string first_bytes(const std::string& path) {
  std::array<char, 6> begin{};
  std::ifstream file(path, std::ios::binary);
  file.read(begin.data(), begin.size());
  return {begin.data(), static_cast<size_t>(file.gcount())};
}

}  // namespace

bool is_arrow_table(const std::string& path) {
  const std::string begin = first_bytes(path);
  return begin.starts_with("PAR1") || begin.starts_with("ARROW1") || begin.starts_with("FEA1");
}

std::unique_ptr<ByteSource> open_arrow_table(const std::string& path) {
  using Open = ByteSource* (*)(const std::string&);
  std::string why;
  const auto open = reinterpret_cast<Open>(plugin_symbol("libelbo_arrow.so", "elbo_open_arrow_table", &why));
  if (open == nullptr)
    usage_error(
        "{}: is a table of Parquet or Arrow, and this elbo is built without Arrow ({}); build it where Arrow "
        "is "
        "(launch/setup.sh --arrow --build), or, in Python: import pandas; "
        "pandas.read_{}(\"{}\").to_csv(\"{}.csv\", "
        "index=False)",
        path, why, first_bytes(path).starts_with("PAR1") ? "parquet" : "feather", path, path);
  return std::unique_ptr<ByteSource>(open(path));
}

}  // namespace elbo
