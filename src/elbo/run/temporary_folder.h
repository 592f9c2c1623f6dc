// A folder for a run that nobody keeps.
#pragma once
#include <filesystem>

#include "elbo/comm/communicator.h"

namespace elbo {

// Made in the system's temporary folder by rank 0, which removes it with all its files at the end.
class TemporaryFolder {
 public:
  // Collective; all ranks know the path. Throws Error on rank 0 where it cannot be made.
  explicit TemporaryFolder(Communicator& world);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  bool is_root_;
  std::filesystem::path path_;
};

}  // namespace elbo
