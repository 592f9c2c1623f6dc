#include "elbo/convert/byte_source.h"

#include <fmt/format.h>
#include <zip.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "elbo/base/error.h"
#include "elbo/base/file.h"

namespace elbo {
namespace {

constexpr size_t piece_bytes = size_t{1} << 20;
constexpr size_t longest_line = size_t{64} << 20;

class File final : public ByteSource {
 public:
  explicit File(const std::string& path) : path_(path) {
    require_readable_file(path);
    file_.reset(gzopen(path.c_str(), "rb"));  // also reads uncompressed files
    if (!file_) fail("{}: cannot be opened", path);
    gzbuffer(file_.get(), 1U << 18);
  }
  size_t read(void* out, size_t bytes) override {
    size_t done = 0;
    while (done < bytes) {
      const auto piece = static_cast<unsigned>(std::min(bytes - done, size_t{1} << 30));
      const int got = gzread(file_.get(), static_cast<char*>(out) + done, piece);
      int status = Z_OK;
      gzerror(file_.get(), &status);
      if (got < 0 || (status != Z_OK && status != Z_STREAM_END))
        usage_error("{}: is cut short or damaged; copy or download it again", path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }
  const std::string& name() const override { return path_; }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::remove_pointer_t<gzFile>, Close> file_;
};

using Archive = std::unique_ptr<zip_t, decltype(&zip_discard)>;

Archive open_archive(const std::string& path) {
  require_readable_file(path);
  int code = 0;
  Archive archive(zip_open(path.c_str(), ZIP_RDONLY, &code), zip_discard);
  if (archive) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  usage_error("{}: is not a zip archive or is damaged ({}); copy or create it again", path, reason);
}

class ZipMember final : public ByteSource {
 public:
  ZipMember(const std::string& path, const std::string& member)
      : name_(fmt::format("{}: {}", path, member)),
        archive_(open_archive(path)),
        file_(zip_fopen(archive_.get(), member.c_str(), 0), zip_fclose) {
    if (!file_) usage_error("{}: cannot be read ({})", name_, zip_strerror(archive_.get()));
  }
  size_t read(void* out, size_t bytes) override {
    size_t done = 0;
    while (done < bytes) {
      const zip_int64_t got = zip_fread(file_.get(), static_cast<char*>(out) + done, bytes - done);
      if (got < 0)
        usage_error("{}: is damaged ({}); copy or create it again", name_, zip_file_strerror(file_.get()));
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }
  const std::string& name() const override { return name_; }

 private:
  std::string name_;
  Archive archive_;
  std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file_;
};

}  // namespace

std::unique_ptr<ByteSource> open_bytes(const std::string& path) { return std::make_unique<File>(path); }

std::vector<std::string> zip_members(const std::string& path) {
  const Archive archive = open_archive(path);
  std::vector<std::string> names;
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i)
    if (const char* name = zip_get_name(archive.get(), static_cast<zip_uint64_t>(i), 0); name != nullptr)
      names.emplace_back(name);
  return names;
}

std::unique_ptr<ByteSource> open_zip_member(const std::string& path, const std::string& member) {
  return std::make_unique<ZipMember>(path, member);
}

LineReader::LineReader(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {
  fill();
  if (buffer_.starts_with("\xef\xbb\xbf")) place_ = 3;
}

bool LineReader::fill() {
  buffer_.erase(0, place_);
  place_ = 0;
  if (buffer_.size() > longest_line)
    usage_error("{}, line {}: is longer than {} MiB; expected a text file", name(), number_ + 1,
                longest_line >> 20);
  const size_t before = buffer_.size();
  buffer_.resize(before + piece_bytes);
  const size_t got = source_->read(buffer_.data() + before, piece_bytes);
  buffer_.resize(before + got);
  return got > 0;
}

bool LineReader::next(std::string& line) {
  size_t searched = place_;
  size_t end = buffer_.find('\n', searched);
  while (end == std::string::npos) {
    searched = buffer_.size() - place_;
    if (!fill()) break;
    end = buffer_.find('\n', searched);
  }
  if (end == std::string::npos && place_ == buffer_.size()) return false;
  const size_t last = std::min(end, buffer_.size());
  line.assign(buffer_, place_, last - place_);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  place_ = std::min(last + 1, buffer_.size());
  ++number_;
  return true;
}

}  // namespace elbo
