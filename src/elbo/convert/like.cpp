#include "elbo/convert/like.h"

#include <filesystem>
#include <system_error>

#include "elbo/base/error.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

DataFile open_described(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return DataFile(path);
  const fs::path description = fs::path(path) / "description.h5";  // training writes it
  if (!fs::exists(description, ignored))
    usage_error("--like={}: holds no description.h5; expected the folder of a run, or its data set", path);
  return DataFile(description);
}

}  // namespace

void Like::bind(OptionTable& table, const char* help) { table.add_path("like", path, help); }

std::optional<DataDescription> Like::description() const {
  if (path.empty()) return std::nullopt;
  return describe_data(open_described(path));
}

std::vector<std::string> Like::merges() const {
  if (path.empty()) return {};
  const DataFile file = open_described(path);
  const auto lock = hdf5::lock();
  if (!hdf5::exists(file.handle(), "/merges")) return {};
  return hdf5::read_texts(hdf5::open_dataset(file.handle(), "/merges"));
}

}  // namespace elbo
