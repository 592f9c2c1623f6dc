// Text formatting and parsing: sizes, durations, lists, the nearest of several names.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

std::string human_bytes(double bytes);       // "1.5 MiB"
std::string human_duration(double seconds);  // "0.3 s", "12 s", "4 min 05 s", "3 h 12 min", "2 d 03 h"

// The name with the smallest edit distance; "" if none is close enough to be a misspelling.
std::string nearest_name(std::string_view name, const std::vector<std::string>& names);

std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::vector<std::string> split(std::string_view text,
                               char separator);  // parts are trimmed; "" gives an empty list
// Texts as lines of one text, and back: a line break in a text is written \n, a backslash \\. "" gives an
// empty list.
std::string as_lines(const std::vector<std::string>& texts);
std::vector<std::string> texts_in_lines(std::string_view lines);
std::string trim(std::string_view text);
std::string shape_text(std::span<const int64_t> shape);  // "(60000, 28, 28)"
std::string lower_case(std::string text);                // ASCII only
// A field of a table of separated values (RFC 4180): quoted where it has to be.
std::string as_field(const std::string& text, char separator);

// `text` as a terminal may show it: control characters and bytes that are not UTF-8 are written as \x1b.
// Names and texts of files and command lines are not trusted. kept: control characters that stay.
std::string printable(std::string_view text, std::string_view kept = "");

// `text` up to `bytes` bytes; of a longer one its two ends.
std::string shortened(std::string_view text, size_t bytes);

// Characters in a line of the terminal: COLUMNS if it is set, else the terminal's width, else 80.
size_t terminal_columns();

// `text` beside `label`: the text begins at column `indent` and is wrapped at blanks to `width` characters.
// It begins on the next line where the label needs more room. Ends with a newline.
std::string hanging(std::string_view label, std::string_view text, size_t indent, size_t width);

}  // namespace elbo
