#include "elbo/base/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "elbo/base/error.h"

namespace elbo {

AppendFile::AppendFile(std::filesystem::path path)
    : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0)
    usage_error("{}: cannot be written: {}; check the folder's permissions", path_.string(),
                std::strerror(errno));
  ::lseek(descriptor_, 0, SEEK_END);
}

AppendFile::~AppendFile() { ::close(descriptor_); }

std::string AppendFile::append(std::string_view piece) {
  pending_ += piece;
  const off_t begin = ::lseek(descriptor_, 0, SEEK_CUR);
  size_t written = 0;
  while (written < pending_.size()) {
    const ssize_t count = ::write(descriptor_, pending_.data() + written, pending_.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      std::string why = count == 0 ? "nothing was written" : std::strerror(errno);
      if (::ftruncate(descriptor_, begin) == 0) ::lseek(descriptor_, begin, SEEK_SET);
      return why;
    }
    written += static_cast<size_t>(count);
  }
  pending_.clear();
  return "";
}

}  // namespace elbo
