// Copies of a data set's files on a disk of this host, for file systems that are slow with small reads.
#pragma once
#include <memory>
#include <string>
#include <vector>

namespace elbo {

class Stage {
 public:
  // path: as data.path; folder: must be there, and may begin with a variable of this host: $TMPDIR/elbo.
  // Copies are named by the file's path, size and time of change, so an older run's copy of the same file is
  // used, and one of a file that has changed since is not. Throws usage Errors.
  Stage(const std::string& path, const std::string& folder);
  ~Stage();

  // For one process of the host: copies up to a gibibyte. Returns whether more is to be done. Throws Error
  // where the folder's disk is full.
  bool copy_some();

  std::string path() const;  // of the copies, as data.path

 private:
  struct Copy;
  std::vector<std::unique_ptr<Copy>> copies_;
};

}  // namespace elbo
