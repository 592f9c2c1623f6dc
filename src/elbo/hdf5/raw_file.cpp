#include "elbo/hdf5/raw_file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/hdf5/check.h"
#include "elbo/hdf5/failures.h"

namespace elbo {
namespace {

int64_t modification_time(const struct stat& status) {
  return int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

// The descriptor of an open file, or -1 if HDF5 uses another driver than the usual one for it.
int descriptor_of(hid_t file) {
  const hdf5::Handle access =
      hdf5::checked(H5Fget_access_plist(file), H5Pclose, file, "read its access properties");
  if (H5Pget_driver(access.get()) != H5FD_SEC2) return -1;
  void* descriptor = nullptr;
  hdf5::check(H5Fget_vfd_handle(file, H5P_DEFAULT, &descriptor), file, "find its descriptor");
  return *static_cast<const int*>(descriptor);
}

// Checkpoints, sockets and libraries need descriptors, too. A new descriptor is the lowest free number.
void require_spare_descriptors(int newest, const std::string& path) {
  constexpr rlim_t spare = 64;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  if (static_cast<rlim_t>(newest) + spare > limit.rlim_cur) hdf5::too_many_files(path);
}

}  // namespace

RawFile::RawFile(std::string path) : path_(std::move(path)) {
  open();
  query_state();
}

RawFile::RawFile(const hdf5::Handle& object)
    : file_(hdf5::checked(H5Iget_file_id(object.get()), H5Fclose, object.get(), "find its file")),
      path_(hdf5::name_of(file_.get())),
      descriptor_(descriptor_of(file_.get())) {
  if (descriptor_ < 0) {
    file_ = {};
    open();
  }
  require_spare_descriptors(descriptor_, path_);
  query_state();
}

void RawFile::open() {
  require_readable_file(path_);
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) usage_error("{}: cannot be opened: {}", path_, std::strerror(errno));
}

void RawFile::query_state() {
  struct stat status = {};
  if (::fstat(descriptor_, &status) != 0) {
    const int error = errno;
    if (!file_) ::close(descriptor_);
    fail("{}: cannot query its size: {}", path_, std::strerror(error));
  }
  size_ = static_cast<uint64_t>(status.st_size);
  modified_ = modification_time(status);
  device_ = status.st_dev;
  number_ = status.st_ino;
}

RawFile::~RawFile() {
  if (!file_) ::close(descriptor_);
}

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

void RawFile::require_in_place() const {
  struct stat status = {};
  if (::stat(path_.c_str(), &status) != 0)
    fail("{}: cannot be read any more: {}; do not move a file during training", path_, std::strerror(errno));
  if (status.st_dev != device_ || status.st_ino != number_)
    fail("{}: was replaced while it was read; do not replace a file during training", path_);
  require_unchanged();
}

}  // namespace elbo
