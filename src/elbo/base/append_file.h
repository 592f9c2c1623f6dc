// A file that grows by whole pieces of text, and survives a disk that is full for a while.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace elbo {

// What cannot be written is kept and written with the next piece; the file never ends in the middle of a
// piece.
class AppendFile {
 public:
  explicit AppendFile(std::filesystem::path path);  // made if missing; throws a usage Error
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // "" if the file has all text so far, else why not.
  std::string append(std::string_view piece);
  std::string flush() { return append(""); }

 private:
  std::filesystem::path path_;
  int descriptor_;
  std::string pending_;
};

}  // namespace elbo
