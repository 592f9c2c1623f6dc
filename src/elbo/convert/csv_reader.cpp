#include "elbo/convert/csv_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/convert/arrow_library.h"
#include "elbo/convert/csv_values.h"

namespace elbo {
namespace {

constexpr size_t csv_piece_bytes = size_t{1} << 18;
constexpr size_t longest_field = size_t{64} << 20;

// The first name, of an index, and the last, after a separator at the end of each line, may be empty.
bool looks_like_header(const std::vector<std::string>& fields) {
  const std::set<std::string> different(fields.begin(), fields.end());
  double ignored = 0;
  if (different.size() != fields.size() || trim(fields.front() + fields.back()).empty()) return false;
  for (size_t i = 0; i < fields.size(); ++i) {
    const bool inside = i > 0 && i + 1 < fields.size();
    if (parse_real(fields[i], ignored) || (inside && trim(fields[i]).empty())) return false;
  }
  return true;
}

// As pandas does: a, a.1, a.2. Returns a sentence on the first of them, or "".
std::string number_repeated(std::vector<std::string>& names) {
  std::set<std::string> taken(names.begin(), names.end()), seen;
  std::string first;
  for (std::string& name : names) {
    if (seen.insert(name).second) continue;
    int number = 1;
    while (taken.contains(fmt::format("{}.{}", name, number))) ++number;
    const std::string numbered = fmt::format("{}.{}", name, number);
    if (first.empty()) first = fmt::format("the second '{}' is '{}'", name, numbered);
    taken.insert(numbered);
    name = numbered;
  }
  return first;
}

bool is_utf8(const std::string& text) {
  if (std::ranges::all_of(text, [](char byte) { return static_cast<unsigned char>(byte) < 0x80; }))
    return true;
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const size_t size = first < 0x80   ? 1
                        : first < 0xc2 ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
    if (size == 0 || i + size > text.size()) return false;
    for (size_t j = i + 1; j < i + size; ++j)
      if ((static_cast<unsigned char>(text[j]) & 0xc0U) != 0x80) return false;
    i += size;
  }
  return true;
}

void append_utf8(std::string& text, unsigned code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
    return;
  }
  if (code >= 0x800) text += static_cast<char>(0xe0U | code >> 12U);
  text += static_cast<char>(code < 0x800 ? 0xc0U | code >> 6U : 0x80U | (code >> 6U & 0x3fU));
  text += static_cast<char>(0x80U | (code & 0x3fU));
}

std::string from_windows_1252(const std::string& bytes) {
  // The code points of bytes 0x80 to 0x9f; the others are those of Latin-1.
  static constexpr std::array<unsigned, 32> special{
      0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
      0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
      0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    append_utf8(text, byte >= 0x80 && byte < 0xa0 ? special.at(byte - 0x80U) : byte);
  }
  return text;
}

std::unique_ptr<ByteSource> open_table(const std::string& path) {
  require_readable_file(path);
  return is_arrow_table(path) ? open_arrow_table(path) : open_bytes(path);
}

// The share of numbers among the fields of the first lines; negative if these have one field or not the same
// number of fields.
double fit_of(const std::string& path, const std::string& separator) {
  constexpr int most_lines = 50;
  CsvReader reader(open_bytes(path), separator);
  std::vector<std::string> fields;
  size_t columns = 0;
  double numbers = 0, all = 0;
  for (int i = 0; i < most_lines && reader.next(fields); ++i) {
    if (i == 0) columns = fields.size();
    if (fields.size() != columns || columns < 2) return -1;
    all += static_cast<double>(columns);
    for (const std::string& field : fields)
      if (value_of(field, Notation::point) || value_of(field, Notation::comma)) ++numbers;
  }
  return all == 0 ? -1 : numbers / all;
}

}  // namespace

CsvReader::CsvReader(std::unique_ptr<ByteSource> source, const std::string& separator)
    : source_(std::move(source)), separator_(separator[0]), doubled_(separator.size() == 2) {
  peek();
  if (buffer_.starts_with("\xef\xbb\xbf")) place_ = 3;
  if (buffer_.starts_with("\xff\xfe") || buffer_.starts_with("\xfe\xff"))
    usage_error("{}: is UTF-16; store it as UTF-8, such as with iconv -f UTF-16 -t UTF-8", name());
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

void CsvReader::require_no_return(const std::string& field) const {
  if (field.find('\r') != std::string::npos)
    usage_error(
        "{}, line {}: a carriage return inside a field; expected lines that end in LF or CR LF, as mac2unix "
        "writes them",
        name(), line_);
}

void CsvReader::require_short(const std::string& field) const {
  if (field.size() > longest_field)
    usage_error("{}, line {}: a field is longer than {} MiB; expected a text file", name(), line_,
                longest_field >> 20);
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
    // What is in the buffer up to the next separator or line end, at once.
    const auto begin = buffer_.begin() + static_cast<std::ptrdiff_t>(place_);
    const auto stop =
        std::find_if(begin, buffer_.end(), [&](char byte) { return byte == separator_ || byte == '\n'; });
    field.append(begin, stop);
    place_ += static_cast<size_t>(stop - begin);
    if (stop == buffer_.end() || *stop == '\n') {
      require_short(field);
      continue;
    }
    if (take_separator()) {
      require_no_return(field);
      return true;
    }
    field += separator_;
    require_short(field);
  }
  if (field.ends_with('\r')) field.pop_back();
  require_no_return(field);
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
  for (std::string& field : fields) {
    if (field.find('\0') != std::string::npos)
      usage_error(
          "{}, line {}: is not text, as it holds a NUL byte; expected a table: remove such bytes, or "
          "store a file of UTF-16 as UTF-8",
          name(), line_);
    if (!is_utf8(field)) {
      field = from_windows_1252(field);
      if (latin1_line_ == 0) latin1_line_ = line_;
    }
  }
  return true;
}

TableReader::TableReader(const std::string& path, const std::string& separator, const std::string& header)
    : reader_(open_table(path), is_arrow_table(path) ? "," : separator) {
  if (!reader_.next(first_)) usage_error("{}: is empty; expected a table", path);
  first_line_ = reader_.line();
  for (const std::string& field : first_)
    if (std::ranges::any_of(field, [](unsigned char c) { return c < 0x20 && std::isspace(c) == 0; }))
      usage_error("{}: its first line is not text; expected a table", path);
  if (header == "yes" || (header == "auto" && looks_like_header(first_))) {
    for (const std::string& field : first_)
      columns_.push_back(trim(field).empty() ? std::to_string(columns_.size() + 1) : trim(field));
    first_.clear();
    repeated_ = number_repeated(columns_);
  } else {
    for (size_t i = 1; i <= first_.size(); ++i) columns_.push_back(std::to_string(i));
  }
}

void TableReader::report_repeated() const {
  if (!repeated_.empty()) log::info("{}: names of columns that repeat are numbered: {}", name(), repeated_);
}

void TableReader::report_latin1() const {
  if (reader_.latin1_line() > 0)
    log::warning("{}, line {}: is not UTF-8; such fields are read as Windows-1252, which includes Latin-1",
                 name(), reader_.latin1_line());
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

std::string find_separator(const std::string& path) {
  require_readable_file(path);
  std::string best = ",";
  if (is_arrow_table(path)) return best;
  double best_fit = -1;
  for (const char* separator : {",", ";", "\t", "|"}) {
    double fit = -1;
    try {
      fit = fit_of(path, separator);
    } catch (const Error&) {  // a field that is not closed, for example: another separator is right
      continue;
    }
    // In "a;1,5" both are possible: then the comma is a decimal one.
    if (fit < best_fit || (fit == best_fit && fit <= 0)) continue;
    best = separator;
    best_fit = fit;
  }
  return best;
}

bool parse_real(std::string_view text, double& value) {
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
