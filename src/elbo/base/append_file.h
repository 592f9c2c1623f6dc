// A file that grows by whole pieces of text, and survives a disk that is full or a folder that is gone for a
// while.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

namespace elbo {

// What cannot be written is kept and written with a later piece; the file never ends in the middle of a
// piece. A file that was deleted is made again with all its text, also in a folder that is gone.
class AppendFile {
 public:
  explicit AppendFile(std::filesystem::path path);  // made if missing; throws a usage Error
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // "" if the file has all text so far, else why not. After a failure it waits longer and longer, up to a
  // minute, before it tries again.
  std::string append(std::string_view piece);
  std::string flush();  // the same, and tries at once

 private:
  using Clock = std::chrono::steady_clock;
  void write_pending();
  void open_again();

  std::filesystem::path path_;
  int descriptor_;
  off_t size_ = 0;  // of the text in the file
  std::string pending_;
  std::string failure_;  // why the last attempt failed, or ""
  bool lost_ = false;    // the descriptor may lead nowhere
  std::chrono::duration<double> delay_{0};
  Clock::time_point next_ = Clock::now();
};

}  // namespace elbo
