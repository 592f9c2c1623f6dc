// Copies the files of a data set to a local disk, for file systems that are slow with small reads.
#pragma once
#include <memory>
#include <string>
#include <vector>

namespace elbo {

class Stage {
 public:
  // path: as data.path. folder: must exist; may begin with an environment variable, $TMPDIR/elbo. The name of
  // a copy is derived from the file's path, size and modification time, and ends with the SHA-256 of its
  // content: the copy of an earlier run is used again if it belongs to this user and its content has that
  // digest. Others cannot read or write it. Throws a usage Error if a file or the folder cannot be used.
  Stage(const std::string& path, const std::string& folder);
  ~Stage();

  // Copies or verifies up to 1 GiB. Called by one process of the host. Returns whether more is left to do.
  // Throws Error if the disk is full.
  bool copy_some();

  std::string path() const;  // the copies, as data.path; once there is nothing left to do

 private:
  struct Copy;
  std::vector<std::unique_ptr<Copy>> copies_;
};

}  // namespace elbo
