#include "elbo/convert/npy_reader.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

constexpr size_t longest_header = size_t{1} << 20;
constexpr double largest_row = 1 << 30;
constexpr int64_t npy_piece_bytes = int64_t{1024} * 1024;
constexpr int64_t column_piece_bytes = int64_t{64} * 1024 * 1024;  // each piece reads from all columns

// The value of a key in the header, a dictionary of Python: a text in quotes, (…), [, True or False. No
// regular expression: those of the standard library call themselves for each character.
std::string_view field(std::string_view header, std::string_view key, const std::string& name) {
  const size_t at = header.find(fmt::format("'{}'", key));
  const size_t colon = at == std::string_view::npos ? at : header.find_first_not_of(' ', at + key.size() + 2);
  size_t begin = std::string_view::npos;
  if (colon != std::string_view::npos && header[colon] == ':')
    begin = header.find_first_not_of(' ', colon + 1);
  if (begin == std::string_view::npos)
    usage_error("{}: is not a NumPy array: its header lacks descr, fortran_order or shape", name);
  const std::string_view rest = header.substr(begin);
  const char close = rest.front() == '(' ? ')' : rest.front();
  if (close == '\'' || close == ')') return rest.substr(0, rest.find(close, 1) + 1);
  return rest.substr(0, rest.front() == '[' ? 1 : rest.find_first_of(" ,}"));
}

std::string_view shape_field(std::string_view header, const std::string& name) {
  const std::string_view shape = field(header, "shape", name);
  if (shape.size() < 2 || shape.front() != '(' ||
      shape.find_first_not_of("0123456789, ", 1) != shape.size() - 1)
    usage_error("{}: is not a NumPy array: its shape is {}", name, shortened(shape, 100));
  return shape.substr(1, shape.size() - 2);
}

// As UTF-8; what is not a character becomes U+FFFD.
void append_character(std::string& text, uint32_t character) {
  constexpr uint32_t replacement = 0xfffd;
  if (character > 0x10ffff || (character >= 0xd800 && character < 0xe000)) character = replacement;
  const auto add = [&](uint32_t byte) { text += static_cast<char>(byte); };
  const auto more = [&](uint32_t shift) { add(0x80U | (character >> shift & 0x3fU)); };
  if (character < 0x80) return add(character);
  if (character < 0x800) {
    add(0xc0U | character >> 6U);
  } else if (character < 0x10000) {
    add(0xe0U | character >> 12U), more(6);
  } else {
    add(0xf0U | character >> 18U), more(12), more(6);
  }
  more(0);
}

std::FILE* temporary_file() {
  std::string path = (std::filesystem::temp_directory_path() / "elbo_XXXXXX").string();
  const int descriptor = ::mkstemp(path.data());
  if (descriptor < 0) fail("{}: a temporary file cannot be made: {}", path, std::strerror(errno));
  ::unlink(path.c_str());  // gone with the process
  return ::fdopen(descriptor, "w+b");
}

template <typename From, typename To>
torch::Tensor widened(const std::vector<uint8_t>& bytes, const std::vector<int64_t>& shape,
                      torch::ScalarType type, const std::string& name) {
  torch::Tensor result = torch::empty(shape, type);
  To* out = result.mutable_data_ptr<To>();
  for (int64_t i = 0; i < result.numel(); ++i) {
    From value;
    std::memcpy(&value, bytes.data() + static_cast<size_t>(i) * sizeof value, sizeof value);
    if (value > static_cast<From>(std::numeric_limits<To>::max()))
      usage_error("{}: holds {}, which does not fit in a signed 64-bit integer", name, value);
    out[i] = static_cast<To>(value);
  }
  return result;
}

}  // namespace

NpyReader::NpyReader(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {
  read_header();
  if (columns_first_ && shape_.size() > 1) copy_to_temporary_file();
}

void NpyReader::read_bytes(void* out, size_t bytes) {
  if (source_->read(out, bytes) != bytes)
    usage_error("{}: is cut short; copy or create it again", source_->name());
}

void NpyReader::read_header() {
  std::array<uint8_t, 8> magic{};
  if (source_->read(magic.data(), magic.size()) != magic.size() ||
      std::memcmp(magic.data(), "\x93NUMPY", 6) != 0)
    usage_error("{}: is not a NumPy array; expected a file written by numpy.save()", name());
  if (magic[6] < 1 || magic[6] > 3)
    usage_error("{}: has version {} of NumPy's format; expected 1 to 3", name(), magic[6]);
  std::array<uint8_t, 4> size{};
  read_bytes(size.data(), magic[6] == 1 ? 2 : 4);
  const size_t length = size[0] | size_t{size[1]} << 8 | size_t{size[2]} << 16 | size_t{size[3]} << 24;
  if (length > longest_header) usage_error("{}: is damaged: it claims a header of {} bytes", name(), length);
  std::string header(length, '\0');
  read_bytes(header.data(), length);
  read_type(std::string(field(header, "descr", name())));
  columns_first_ = field(header, "fortran_order", name()) == "True";
  double row = static_cast<double>(size_);
  for (const std::string& part : split(shape_field(header, name()), ',')) {
    if (part.empty()) continue;
    int64_t extent = 0;
    std::from_chars(part.data(), part.data() + part.size(), extent);
    if (extent <= 0) usage_error("{}: is empty: one of its sizes is {}; expected rows", name(), part);
    shape_.push_back(extent);
    if (shape_.size() > 1) row *= static_cast<double>(extent);
  }
  if (shape_.empty()) usage_error("{}: is a single value; expected rows", name());
  if (row > largest_row)
    usage_error("{}: a row has {}; expected at most {}", name(), human_bytes(row), human_bytes(largest_row));
  row_bytes_ = static_cast<int64_t>(row);
}

// 'U12' or 'S5', after the order of bytes: texts of 12 and of 5 characters.
bool NpyReader::read_text_type(std::string_view description) {
  const size_t kind = description.find_first_of("US");
  if (kind != 1 && kind != 2) return false;
  size_t characters = 0;
  const std::string_view number = description.substr(kind + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), characters);
  if (error != std::errc() || *end != '\'' || characters < 1 || characters > longest_header) return false;
  kind_ = description[kind];
  size_ = kind_ == 'U' ? 4 * characters : characters;
  swapped_ = description[1] == '>';
  return true;
}

void NpyReader::read_type(const std::string& description) {
  if (read_text_type(description)) return;
  // In quotes: perhaps the order of bytes, the kind, the size.
  const bool has_order =
      description.size() == 5 && std::string_view("<>|=").find(description[1]) != std::string_view::npos;
  const std::string type = has_order                 ? description.substr(2, 2)
                           : description.size() == 4 ? description.substr(1, 2)
                                                     : "";
  if (type.empty() || description.front() != '\'' ||
      std::string_view("biuf").find(type[0]) == std::string_view::npos ||
      std::string_view("1248").find(type[1]) == std::string_view::npos)
    usage_error("{}: holds elements of type {}; expected numbers (bool, int8 … uint64, float16 … float64)",
                name(), description == "[" ? "of records" : shortened(description, 100));
  kind_ = type[0];
  size_ = static_cast<size_t>(type[1] - '0');
  swapped_ = size_ > 1 && description[1] == '>';
  if (type == "b1" || type == "u1") {
    type_ = torch::kUInt8;
  } else if (type == "i1") {
    type_ = torch::kInt8;
  } else if (type == "i2") {
    type_ = torch::kInt16;
  } else if (type == "i4" || type == "u2") {
    type_ = torch::kInt32;
  } else if (type == "f2" || type == "f4") {
    type_ = torch::kFloat32;
  } else if (type == "f8") {
    type_ = torch::kFloat64;
  } else if (kind_ == 'i' || kind_ == 'u') {
    type_ = torch::kInt64;
  } else {
    usage_error("{}: holds elements of type {}; expected numbers", name(), description);
  }
}

int64_t NpyReader::rows_per_piece() const {
  return std::max<int64_t>(1, (copy_ ? column_piece_bytes : npy_piece_bytes) / row_bytes_);
}

void NpyReader::copy_to_temporary_file() {
  copy_.reset(temporary_file());
  if (!copy_) fail("{}: its temporary copy cannot be opened: {}", name(), std::strerror(errno));
  std::vector<uint8_t> piece(static_cast<size_t>(npy_piece_bytes));
  double left = static_cast<double>(row_bytes_) * static_cast<double>(rows());
  while (left > 0) {
    const auto bytes = static_cast<size_t>(std::min(left, static_cast<double>(npy_piece_bytes)));
    read_bytes(piece.data(), bytes);
    if (std::fwrite(piece.data(), 1, bytes, copy_.get()) != bytes)
      fail("{}: its temporary copy cannot be written to {}: {}; set TMPDIR to another folder", name(),
           std::filesystem::temp_directory_path().string(), std::strerror(errno));
    left -= static_cast<double>(bytes);
  }
}

torch::Tensor NpyReader::next(int64_t rows) {
  std::vector<uint8_t> bytes(static_cast<size_t>(rows * row_bytes_));
  std::vector<int64_t> shape = shape_;
  shape.front() = rows;
  if (!copy_) {
    read_bytes(bytes.data(), bytes.size());
    next_row_ += rows;
    return decode(std::move(bytes), shape);
  }
  // The first index varies fastest: a column of these rows is contiguous in the file.
  const size_t column = static_cast<size_t>(rows) * size_;
  for (size_t i = 0; i < bytes.size() / column; ++i) {
    const int64_t place =
        (static_cast<int64_t>(i) * shape_.front() + next_row_) * static_cast<int64_t>(size_);
    if (::fseeko(copy_.get(), place, SEEK_SET) != 0 ||
        std::fread(bytes.data() + i * column, 1, column, copy_.get()) != column)
      fail("{}: its temporary copy cannot be read: {}", name(), std::strerror(errno));
  }
  next_row_ += rows;
  std::vector<int64_t> axes;
  for (int64_t i = static_cast<int64_t>(shape.size()) - 1; i >= 0; --i) axes.push_back(i);
  return decode(std::move(bytes), {shape.rbegin(), shape.rend()}).permute(axes).contiguous();
}

torch::Tensor NpyReader::decode(std::vector<uint8_t> bytes, const std::vector<int64_t>& shape) const {
  if (swapped_)
    for (size_t i = 0; i + size_ <= bytes.size(); i += size_)
      std::reverse(bytes.begin() + static_cast<int64_t>(i), bytes.begin() + static_cast<int64_t>(i + size_));
  if (kind_ == 'u' && size_ == 2) return widened<uint16_t, int32_t>(bytes, shape, type_, name());
  if (kind_ == 'u' && size_ == 4) return widened<uint32_t, int64_t>(bytes, shape, type_, name());
  if (kind_ == 'u' && size_ == 8) return widened<uint64_t, int64_t>(bytes, shape, type_, name());
  const bool half = kind_ == 'f' && size_ == 2;
  return torch::from_blob(bytes.data(), shape, half ? torch::kHalf : type_).to(type_, false, true);
}

std::vector<std::string> NpyReader::texts() {
  std::vector<std::string> all;
  constexpr int64_t most_reserved = 1 << 16;  // a damaged header may claim any number
  all.reserve(static_cast<size_t>(std::min(rows(), most_reserved)));
  std::string element(size_, '\0');
  for (int64_t row = 0; row < rows(); ++row) {
    read_bytes(element.data(), element.size());
    std::string text = element;
    if (kind_ == 'U') {
      text.clear();
      for (size_t i = 0; i < size_; i += 4) {
        uint32_t character = 0;
        for (size_t j = 0; j < 4; ++j)
          character = character << 8U | static_cast<uint8_t>(element[i + (swapped_ ? j : 3 - j)]);
        append_character(text, character);
      }
    }
    all.push_back(text.substr(0, text.find_last_not_of('\0') + 1));
  }
  return all;
}

void NpyReader::require_end() {
  uint8_t more = 0;
  if (source_->read(&more, 1) != 0)
    usage_error("{}: is damaged: it has data after the {} rows of its header", name(), rows());
}

}  // namespace elbo
