// A stream of bytes: a file, gzipped or not, or a member of a zip archive.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace elbo {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills `out` and returns the number of bytes, fewer only at the end. Throws a usage Error if the source is
  // damaged or truncated.
  virtual size_t read(void* out, size_t bytes) = 0;
  virtual const std::string& name() const = 0;  // for messages
};

std::unique_ptr<ByteSource> open_bytes(const std::string& path);

std::vector<std::string> zip_members(const std::string& path);  // in the archive's order
std::unique_ptr<ByteSource> open_zip_member(const std::string& path, const std::string& member);

// Lines without their ends (LF or CR LF). A byte order mark at the start is skipped.
class LineReader {
 public:
  explicit LineReader(std::unique_ptr<ByteSource> source);
  // False at the end. Throws a usage Error for a line of more than 64 MiB.
  bool next(std::string& line);
  int64_t number() const { return number_; }  // the number of the last line, from 1
  const std::string& name() const { return source_->name(); }

 private:
  bool fill();
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  size_t place_ = 0;
  int64_t number_ = 0;
};

}  // namespace elbo
