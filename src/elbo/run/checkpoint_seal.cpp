#include "elbo/run/checkpoint_seal.h"

#include <fmt/format.h>

#include <fstream>
#include <string>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/sha256.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view seal_prefix = "elbo checkpoint\nsha256 ";

std::string read_seal(const fs::path& path) {
  require_readable_file(path);
  std::string text(seal_bytes, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  return text;
}

}  // namespace

void seal(const fs::path& path) {
  const std::string text = fmt::format("{}{}\n", seal_prefix, sha256_of_file(path, seal_bytes));
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) fail("{}: the checksum cannot be written", path.string());
}

bool is_checkpoint(const fs::path& path) { return read_seal(path).starts_with(seal_prefix); }

void require_seal(const fs::path& path) {
  const std::string text = read_seal(path);
  if (!text.starts_with(seal_prefix))
    usage_error("{}: is not a checkpoint of elbo; expected a file written by elbo train", path.string());
  if (text.substr(seal_prefix.size(), 64) != sha256_of_file(path, seal_bytes))
    fail("{}: does not match its checksum: the file is damaged or cut short", path.string());
}

}  // namespace elbo
