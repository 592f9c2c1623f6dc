#include "elbo/convert/csv_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

constexpr size_t csv_piece_bytes = size_t{1} << 18;
constexpr size_t longest_field = size_t{64} << 20;

bool looks_like_header(const std::vector<std::string>& fields) {
  const std::set<std::string> different(fields.begin(), fields.end());
  double ignored = 0;
  return different.size() == fields.size() && std::ranges::none_of(fields, [&](const std::string& field) {
           return trim(field).empty() || parse_real(field, ignored);
         });
}

}  // namespace

CsvReader::CsvReader(std::unique_ptr<ByteSource> source, const std::string& separator)
    : source_(std::move(source)), separator_(separator[0]), doubled_(separator.size() == 2) {
  peek();
  if (buffer_.starts_with("\xef\xbb\xbf")) place_ = 3;
}

int CsvReader::peek() {
  if (place_ == buffer_.size()) {
    buffer_.resize(csv_piece_bytes);
    buffer_.resize(source_->read(buffer_.data(), csv_piece_bytes));
    place_ = 0;
    if (buffer_.empty()) return -1;
  }
  return static_cast<unsigned char>(buffer_[place_]);
}

int CsvReader::get() {
  const int c = peek();
  if (c >= 0) ++place_;
  return c;
}

void CsvReader::read_quoted(std::string& field) {
  get();
  while (true) {
    const int c = get();
    if (c < 0 || field.size() > longest_field)
      usage_error("{}, line {}: a quoted field is not closed", name(), line_);
    if (c == '\n') ++next_line_;
    if (c == '"') {
      if (peek() != '"') return;
      get();
    }
    field += static_cast<char>(c);
  }
}

// Half of a double separator is part of the field.
bool CsvReader::take_separator() {
  if (peek() != separator_) return false;
  get();
  if (!doubled_) return true;
  if (peek() != separator_) return false;
  get();
  return true;
}

bool CsvReader::read_field(std::string& field) {
  if (peek() == '"') {
    read_quoted(field);
    if (peek() == '\r') get();
    if (const int c = peek(); c >= 0 && c != separator_ && c != '\n')
      usage_error("{}, line {}: '{}' follows a closing quote; a quote inside a field must be doubled", name(),
                  next_line_, static_cast<char>(c));
    return take_separator();
  }
  for (int c = peek(); c >= 0 && c != '\n'; c = peek()) {
    if (take_separator()) return true;
    field += c == separator_ ? separator_ : static_cast<char>(get());
    if (field.size() > longest_field)
      usage_error("{}, line {}: a field is longer than {} MiB; expected a text file", name(), line_,
                  longest_field >> 20);
  }
  if (field.ends_with('\r')) field.pop_back();
  return false;
}

bool CsvReader::next(std::vector<std::string>& fields) {
  while (peek() == '\n' || peek() == '\r')
    if (get() == '\n') ++next_line_;
  if (peek() < 0) return false;
  line_ = next_line_;
  fields.assign(1, "");
  while (read_field(fields.back())) fields.emplace_back();
  if (get() == '\n') ++next_line_;
  return true;
}

TableReader::TableReader(const std::string& path, const std::string& separator, const std::string& header)
    : reader_(open_bytes(path), separator) {
  if (!reader_.next(first_)) usage_error("{}: is empty; expected a table", path);
  first_line_ = reader_.line();
  for (const std::string& field : first_)
    if (std::ranges::any_of(field, [](unsigned char c) { return c < 0x20 && std::isspace(c) == 0; }))
      usage_error("{}: its first line is not text; expected a table", path);
  if (header == "yes" || (header == "auto" && looks_like_header(first_))) {
    for (const std::string& field : first_) columns_.push_back(trim(field));
    first_.clear();
  } else {
    for (size_t i = 1; i <= first_.size(); ++i) columns_.push_back(std::to_string(i));
  }
}

bool TableReader::next(std::vector<std::string>& fields) {
  if (!first_.empty()) {
    fields = std::exchange(first_, {});
    return true;
  }
  if (!reader_.next(fields)) return false;
  if (fields.size() != columns_.size())
    usage_error("{}, line {}: has {} fields; expected {} as in line {}", name(), line(), fields.size(),
                columns_.size(), first_line_);
  return true;
}

bool parse_real(const std::string& text, double& value) {
  const char* begin = text.data();
  const char* end = begin + text.size();
  while (begin < end && (*begin == ' ' || *begin == '\t')) ++begin;
  while (begin < end && (end[-1] == ' ' || end[-1] == '\t')) --end;
  if (end - begin > 1 && *begin == '+' && begin[1] != '-') ++begin;
  const auto [stop, error] = std::from_chars(begin, end, value);
  return error == std::errc() && stop == end;
}

size_t find_column(const std::vector<std::string>& columns, const std::string& name,
                   const std::string& option) {
  const auto found = std::ranges::find(columns, name);
  if (found != columns.end()) return static_cast<size_t>(found - columns.begin());
  size_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size() && number >= 1 && number <= columns.size())
    return number - 1;
  const std::string nearest = nearest_name(name, columns);
  std::vector<std::string> listed(
      columns.begin(), columns.begin() + static_cast<int64_t>(std::min<size_t>(columns.size(), 20)));
  if (listed.size() < columns.size()) listed.emplace_back("…");
  usage_error("--{}={}: no such column{}; the columns are {}", option, name,
              nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest), join(listed, ", "));
}

}  // namespace elbo
