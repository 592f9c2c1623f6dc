#include "elbo/hdf5/failures.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>

#include "elbo/hdf5/check.h"
#include "elbo/hdf5/file_search.h"

namespace elbo::hdf5 {
namespace {

bool mentions(const std::string& reason, const char* part) { return reason.find(part) != std::string::npos; }

bool reached_file_limit(const std::string& reason) { return mentions(reason, "Too many open files"); }

// HDF5 takes this lock for as long as it has a file open for writing.
bool is_locked_by_a_writer(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool locked = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);  // and with it the lock
  return locked;
}

[[noreturn]] void written_by_newer_hdf5(const std::string& name, const std::string& reason) {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  usage_error(
      "{}: was written by a newer HDF5 than {}.{}.{}, which this program uses, or is damaged ({}); rewrite "
      "it "
      "with the HDF5 that wrote it: h5repack --low=0 --high=2 OLD NEW, or libver=('earliest', 'v110') in "
      "h5py",
      name, major, minor, release, reason);
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// A link that leads to no object, by the name that it is stored under.
struct BrokenLink {
  std::string path;                   // in the file `holder`
  std::string holder;                 // file
  std::optional<std::string> file{};  // that it names; none: the same
  std::string target;                 // object
};

// The value of the link at `path`. None if it is a hard link.
std::optional<BrokenLink> read_link(hid_t location, const std::string& path) {
  H5L_info_t info;
  if (H5Lget_info(location, path.c_str(), &info, H5P_DEFAULT) < 0 || info.type == H5L_TYPE_HARD)
    return std::nullopt;
  std::string value(info.u.val_size, '\0');
  if (H5Lget_val(location, path.c_str(), value.data(), value.size(), H5P_DEFAULT) < 0) return std::nullopt;
  const Handle parent(H5Oopen(location, parent_of(path).c_str(), H5P_DEFAULT), H5Oclose);
  const Handle file(H5Iget_file_id(parent ? parent.get() : location), H5Fclose);
  BrokenLink link{.path = path, .holder = file ? name_of(file.get()) : "", .target = value.c_str()};
  if (info.type != H5L_TYPE_EXTERNAL) return link;
  const char *target_file = nullptr, *target = nullptr;
  if (H5Lunpack_elink_val(value.data(), value.size(), nullptr, &target_file, &target) < 0)
    return std::nullopt;
  link.file = target_file;
  link.target = target;
  return link;
}

// Follows soft links from `path` to the link that leads to no object. None if it is not a link.
std::optional<BrokenLink> find_broken_link(hid_t location, const std::string& path, int depth = 0) {
  constexpr int most_links = 16;  // as HDF5 has it
  std::optional<BrokenLink> link;
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string prefix = path.substr(0, end);
    if (prefix != "/" && H5Oexists_by_name(location, prefix.c_str(), H5P_DEFAULT) <= 0) {
      link = read_link(location, prefix);
      if (!link || link->file || depth == most_links) return link;
      const std::string target =
          link->target.starts_with('/') ? link->target : parent_of(prefix) + "/" + link->target;
      const std::optional<BrokenLink> further = find_broken_link(location, target, depth + 1);
      return further ? further : link;
    }
    if (end == std::string::npos) return std::nullopt;
  }
}

}  // namespace

void too_many_files(const std::string& path) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  usage_error(
      "{}: cannot be opened: this process may have {} files open, and too few are left; raise the limit "
      "(ulimit "
      "-n, or LimitNOFILE of the service that starts it), or join the files to fewer",
      path, limit.rlim_cur);
}

void cannot_open_file(const std::string& path) {
  const std::string reason = last_reason();
  std::error_code ignored;
  if (reached_file_limit(reason)) too_many_files(path);
  if (is_locked_by_a_writer(path))
    usage_error("{}: another program has it open for writing; wait until that program has closed it", path);
  if (std::filesystem::file_size(path, ignored) == 0)
    usage_error("{}: is empty; the program that writes it has not finished, or was killed", path);
  if (H5Fis_hdf5(path.c_str()) <= 0)
    usage_error("{}: is not an HDF5 file; elbo convert creates one from other formats", path);
  if (mentions(reason, "already open for"))
    usage_error(
        "{}: was not closed by the program that writes it; wait if that program is running; if it was "
        "killed, "
        "h5clear --status {} removes the mark",
        path, path);
  if (mentions(reason, "lock file"))
    usage_error("{}: is on a file system without locks ({}); set HDF5_USE_FILE_LOCKING=FALSE", path, reason);
  if (mentions(reason, "version")) written_by_newer_hdf5(path, reason);
  usage_error("{}: is damaged or truncated ({}); copy or create it again", path, reason);
}

void cannot_open_object(const Handle& location, const std::string& path) {
  const std::string reason = last_reason(), name = name_of(location.get()) + ": " + path;
  if (reached_file_limit(reason)) too_many_files(name);
  if (mentions(reason, "version")) written_by_newer_hdf5(name, reason);
  fail("{}: cannot be opened: {}", name, reason);
}

void cannot_follow_link(const Handle& location, const std::string& path) {
  const std::string reason = last_reason(), file = name_of(location.get());
  if (reached_file_limit(reason)) too_many_files(file + ": " + path);
  const std::optional<BrokenLink> link = find_broken_link(location.get(), path);
  if (!link) usage_error("{}: {} cannot be opened ({}); the file is damaged", file, path, reason);
  if (!link->file)
    usage_error("{}: {} is a link to {}, which does not exist in {}", file, path, link->target, link->holder);
  const std::optional<std::string> found = find_file(link->holder, *link->file, link_folders);
  if (!found)
    usage_error(
        "{}: {} is a link to {} of {}: no such file; it is looked for in the folder of {}, in the working "
        "folder "
        "and in HDF5_EXT_PREFIX",
        file, path, link->target, *link->file, link->holder);
  const Handle other = open_file(*found);
  if (!exists(other, link->target))
    usage_error("{}: {} is a link to {} of {}, which has no such object", file, path, link->target, *found);
  usage_error("{}: {} is a link to {} of {}, which cannot be opened ({})", file, path, link->target, *found,
              reason);
}

}  // namespace elbo::hdf5
