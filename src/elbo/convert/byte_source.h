// Bytes in order: of a file, gzipped or not, or of a member of a zip archive.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace elbo {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills `out`, with fewer bytes only where the source ends. Throws a usage Error for what is damaged or cut
  // short.
  virtual size_t read(void* out, size_t bytes) = 0;
  virtual const std::string& name() const = 0;  // for messages
};

std::unique_ptr<ByteSource> open_bytes(const std::string& path);

std::vector<std::string> zip_members(const std::string& path);  // in the archive's order
std::unique_ptr<ByteSource> open_zip_member(const std::string& path, const std::string& member);

// Lines without their ends (LF or CR LF); a byte order mark at the beginning is left out.
class LineReader {
 public:
  explicit LineReader(std::unique_ptr<ByteSource> source);
  // False at the end. Throws a usage Error for a line of more than 64 MiB, which no text file has.
  bool next(std::string& line);
  int64_t number() const { return number_; }  // of the last line, from 1
  const std::string& name() const { return source_->name(); }

 private:
  bool fill();
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  size_t place_ = 0;
  int64_t number_ = 0;
};

}  // namespace elbo
