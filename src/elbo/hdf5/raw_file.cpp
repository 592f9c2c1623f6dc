#include "elbo/hdf5/raw_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "elbo/base/error.h"
#include "elbo/base/file.h"

namespace elbo {
namespace {

int64_t modification_time(const struct stat& status) {
  return int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

}  // namespace

RawFile::RawFile(std::string path) : path_(std::move(path)) {
  require_readable_file(path_);
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) usage_error("{}: cannot be opened: {}", path_, std::strerror(errno));
  struct stat status = {};
  if (::fstat(descriptor_, &status) != 0) {
    const int error = errno;
    ::close(descriptor_);
    fail("{}: cannot query its size: {}", path_, std::strerror(error));
  }
  size_ = static_cast<uint64_t>(status.st_size);
  modified_ = modification_time(status);
}

RawFile::~RawFile() { ::close(descriptor_); }

void RawFile::read(uint64_t address, uint64_t size, void* out) const {
  if (read_from_cache(address, size, out)) return;
  constexpr uint64_t neighbourhood = uint64_t{256} << 10;
  const uint64_t first = address / neighbourhood * neighbourhood;
  // Only a hint; its failure does not matter.
  ::posix_fadvise(descriptor_, static_cast<off_t>(first),
                  static_cast<off_t>(address - first + size + neighbourhood), POSIX_FADV_WILLNEED);
  auto* target = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t got = ::pread(descriptor_, target, std::min<uint64_t>(size, uint64_t{1} << 30),
                                static_cast<off_t>(address));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("{}: cannot be read at byte {}: {}", path_, address, std::strerror(errno));
    if (got == 0) fail("{}: is truncated: it ends at byte {}, but data are expected there", path_, address);
    target += got;
    address += static_cast<uint64_t>(got);
    size -= static_cast<uint64_t>(got);
  }
}

// False if some bytes are not in the page cache, or the file system does not support RWF_NOWAIT.
bool RawFile::read_from_cache(uint64_t address, uint64_t size, void* out) const {
  const iovec target{out, size};
  return ::preadv2(descriptor_, &target, 1, static_cast<off_t>(address), RWF_NOWAIT) ==
         static_cast<ssize_t>(size);
}

void RawFile::require_unchanged() const {
  struct stat status = {};
  if (::fstat(descriptor_, &status) != 0) fail("{}: cannot query its size: {}", path_, std::strerror(errno));
  if (static_cast<uint64_t>(status.st_size) != size_ || modification_time(status) != modified_)
    fail("{}: changed while it was read; do not write to a file during training", path_);
}

}  // namespace elbo
