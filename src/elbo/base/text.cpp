#include "elbo/base/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <utility>

namespace elbo {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

// Characters of UTF-8 text: bytes that continue one are not counted.
size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; }));
}

uint32_t byte_at(std::string_view text, size_t i) { return static_cast<unsigned char>(text[i]); }

// The bytes of the character of UTF-8 that `text` begins with, and its number; 0 bytes if it begins with
// none.
std::pair<size_t, uint32_t> first_character(std::string_view text) {
  const uint32_t lead = byte_at(text, 0);
  if (lead < 0x80U) return {1, lead};
  const size_t bytes = lead >= 0xF0U ? 4 : lead >= 0xE0U ? 3 : 2;
  if (lead < 0xC2U || lead > 0xF4U || text.size() < bytes) return {0, 0};
  uint32_t number = lead & (0xFFU >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte_at(text, i) & 0xC0U) != 0x80U) return {0, 0};
    number = (number << 6U) | (byte_at(text, i) & 0x3FU);
  }
  const bool overlong = (bytes == 3 && number < 0x800U) || (bytes == 4 && number < 0x10000U);
  const bool surrogate = number >= 0xD800U && number <= 0xDFFFU;
  return overlong || surrogate || number > 0x10FFFFU ? std::pair<size_t, uint32_t>{0, 0}
                                                     : std::pair{bytes, number};
}

// Controls of ASCII and Latin-1, ends of lines of Unicode, and what turns the direction of text.
bool is_control(uint32_t number) {
  return number < 0x20U || (number >= 0x7FU && number < 0xA0U) || number == 0x2028U || number == 0x2029U ||
         (number >= 0x202AU && number <= 0x202EU) || (number >= 0x2066U && number <= 0x2069U);
}

}  // namespace

std::string human_bytes(double bytes) {
  constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(units)) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} bytes", bytes) : fmt::format("{:.1f} {}", bytes, units[unit]);
}

std::string human_duration(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {:02} h", whole / 86400, whole % 86400 / 3600);
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& names) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : names) {
    const size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

std::string shape_text(std::span<const int64_t> shape) { return fmt::format("({})", fmt::join(shape, ", ")); }

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string printable(std::string_view text, std::string_view kept) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const auto [bytes, number] = first_character(text);
    const std::string_view piece = text.substr(0, std::max<size_t>(bytes, 1));
    if (bytes > 0 && (!is_control(number) || kept.find(piece) != std::string_view::npos)) {
      result += piece;
    } else {
      for (size_t i = 0; i < piece.size(); ++i) result += fmt::format("\\x{:02x}", byte_at(piece, i));
    }
    text.remove_prefix(piece.size());
  }
  return result;
}

std::string shortened(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  return fmt::format("{} … {}", text.substr(0, bytes * 2 / 3), text.substr(text.size() - bytes / 3));
}

std::string trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!trim(text).empty()) {
    const size_t end = text.find(separator);
    parts.push_back(trim(text.substr(0, end)));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

std::string as_lines(const std::vector<std::string>& texts) {
  std::string lines;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) lines += '\n';
    for (const char c : texts[i]) {
      if (c == '\n' || c == '\\') lines += '\\';
      lines += c == '\n' ? 'n' : c;
    }
  }
  return lines;
}

std::vector<std::string> texts_in_lines(std::string_view lines) {
  std::vector<std::string> texts;
  if (lines.empty()) return texts;
  texts.emplace_back();
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool escaped = lines[i] == '\\' && i + 1 < lines.size();
    if (escaped) ++i;
    if (!escaped && lines[i] == '\n') {
      texts.emplace_back();
    } else {
      texts.back() += escaped && lines[i] == 'n' ? '\n' : lines[i];
    }
  }
  return texts;
}

size_t terminal_columns() {
  const std::string columns = std::getenv("COLUMNS") == nullptr ? "" : std::getenv("COLUMNS");
  size_t count = 0;
  const auto [end, error] = std::from_chars(columns.data(), columns.data() + columns.size(), count);
  if (error == std::errc() && end == columns.data() + columns.size() && count > 0) return count;
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string hanging(std::string_view label, std::string_view text, size_t indent, size_t width) {
  std::string result(label);
  size_t column = characters(label);
  const auto new_line = [&] {
    result.append("\n").append(indent, ' ');
    column = indent;
  };
  if (column > 0 && column + 1 > indent) {
    new_line();
  } else {
    result.append(indent - column, ' ');
    column = indent;
  }
  for (const std::string& word : split(text, ' ')) {
    if (word.empty()) continue;
    const size_t length = characters(word);
    if (column > indent && column + 1 + length > width) new_line();
    if (column > indent) {
      result += ' ';
      ++column;
    }
    result += word;
    column += length;
  }
  return result + "\n";
}

std::string as_field(const std::string& text, char separator) {
  if (text.find_first_of("\"\r\n") == std::string::npos && text.find(separator) == std::string::npos)
    return text;
  std::string quoted = "\"";
  for (const char letter : text) quoted += letter == '"' ? std::string("\"\"") : std::string(1, letter);
  return quoted + '"';
}

}  // namespace elbo
