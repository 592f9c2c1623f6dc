#include "elbo/base/shell_command.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "elbo/base/error.h"

namespace elbo {
namespace {

// A file without a name, in memory.
class UnnamedFile {
 public:
  UnnamedFile() : descriptor_(::memfd_create("elbo", MFD_CLOEXEC)) {}
  ~UnnamedFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  UnnamedFile(const UnnamedFile&) = delete;
  UnnamedFile& operator=(const UnnamedFile&) = delete;

  int descriptor() const { return descriptor_; }
  // From the beginning. Whether all of it could be written.
  bool write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t count = ::write(descriptor_, text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return false;
      text.remove_prefix(static_cast<size_t>(count));
    }
    return ::lseek(descriptor_, 0, SEEK_SET) == 0;
  }
  std::string content() const {
    std::string text;
    std::array<char, 1 << 16> block{};
    for (off_t at = 0;;) {
      const ssize_t count = ::pread(descriptor_, block.data(), block.size(), at);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return text;
      text.append(block.data(), static_cast<size_t>(count));
      at += count;
    }
  }

 private:
  int descriptor_;
};

}  // namespace

pid_t start_in_shell(const std::string& command, std::string_view input, int output) {
  const UnnamedFile file;
  if (file.descriptor() < 0 || !file.write(input)) return -1;
  std::string shell = "sh", flag = "-c", words = command;
  std::array<char*, 4> arguments{shell.data(), flag.data(), words.data(), nullptr};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, file.descriptor(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  pid_t child = -1;
  const int error = ::posix_spawn(&child, "/bin/sh", &actions, nullptr, arguments.data(), ::environ);
  ::posix_spawn_file_actions_destroy(&actions);
  errno = error;
  return error == 0 ? child : -1;
}

std::string output_of(const std::string& option, const std::string& command, std::string_view input) {
  const UnnamedFile output;
  const pid_t child = output.descriptor() < 0 ? -1 : start_in_shell(command, input, output.descriptor());
  if (child < 0) fail("{}={}: cannot be run: {}", option, command, std::strerror(errno));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) fail("{}={}: its end is unknown: {}", option, command, std::strerror(errno));
  if (WIFSIGNALED(status)) fail("{}={}: was ended by signal {}", option, command, WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) fail("{}={}: ended with status {}", option, command, WEXITSTATUS(status));
  return output.content();
}

}  // namespace elbo
