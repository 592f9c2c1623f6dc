#include "elbo/base/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "elbo/base/error.h"

namespace elbo {
namespace {

constexpr std::chrono::duration<double> first_delay(1), longest_delay(60);

[[noreturn]] void fail_by(int error) { throw std::system_error(error, std::generic_category()); }

// Writes all bytes at `offset`. Throws std::system_error.
void write_all(int descriptor, std::string_view bytes, off_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail_by(count == 0 ? ENOSPC : errno);
    bytes.remove_prefix(static_cast<size_t>(count));
    offset += count;
  }
}

off_t size_of(int descriptor) {
  struct stat about = {};
  return ::fstat(descriptor, &about) == 0 ? about.st_size : 0;
}

bool is_deleted(int descriptor) {
  struct stat about = {};
  return ::fstat(descriptor, &about) != 0 || about.st_nlink == 0;
}

// Copies bytes [begin, end) of an open file, as far as they can be read; returns the end of the copy.
off_t copy_bytes(int from, int to, off_t begin, off_t end) {
  std::array<char, 1 << 16> buffer{};
  while (begin < end) {
    const ssize_t count = ::pread(from, buffer.data(),
                                  std::min<size_t>(buffer.size(), static_cast<size_t>(end - begin)), begin);
    if (count <= 0) break;
    write_all(to, {buffer.data(), static_cast<size_t>(count)}, begin);
    begin += count;
  }
  return begin;
}

}  // namespace

AppendFile::AppendFile(std::filesystem::path path)
    : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0)
    usage_error("{}: cannot be written: {}; check the folder's permissions", path_.string(),
                std::strerror(errno));
  size_ = size_of(descriptor_);
}

AppendFile::~AppendFile() { ::close(descriptor_); }

std::string AppendFile::append(std::string_view piece) {
  pending_ += piece;
  return Clock::now() < next_ ? failure_ : flush();
}

std::string AppendFile::flush() {
  try {
    if (lost_ || is_deleted(descriptor_)) open_again();
    write_pending();
    failure_.clear();
    delay_ = {};
    next_ = Clock::now();
  } catch (const std::system_error& error) {
    failure_ = error.code().message();
    lost_ |= error.code() != std::errc::no_space_on_device && error.code() != std::errc::file_too_large;
    delay_ = std::clamp(delay_ * 2, first_delay, longest_delay);
    next_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(delay_);
  }
  return failure_;
}

void AppendFile::write_pending() {
  try {
    write_all(descriptor_, pending_, size_);
  } catch (const std::system_error&) {
    if (::ftruncate(descriptor_, size_) != 0) lost_ = true;  // no piece is cut in two
    throw;
  }
  size_ += static_cast<off_t>(pending_.size());
  pending_.clear();
}

// The text so far is still in the old file, which lives on while it is open.
void AppendFile::open_again() {
  std::error_code error;
  std::filesystem::create_directories(path_.parent_path(), error);
  const int again = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (again < 0) fail_by(errno);
  try {
    size_ = std::max(copy_bytes(descriptor_, again, std::min(size_of(again), size_), size_),
                     std::min(size_of(again), size_));
    if (::ftruncate(again, size_) != 0) fail_by(errno);
  } catch (const std::system_error&) {
    ::close(again);
    throw;
  }
  ::close(std::exchange(descriptor_, again));
  lost_ = false;
}

}  // namespace elbo
