// Numbers, dates and times as they are written in the fields of tables, and words for missing values.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace elbo {

enum class Notation {
  point,        // 1234.5 or 1,234.5
  comma,        // 1234,5 or 1.234,5
  day_first,    // 31/12/2020
  month_first,  // 12/31/2020
  clock         // 23:59:30
};
inline constexpr std::array all_notations{Notation::point, Notation::comma, Notation::day_first,
                                          Notation::month_first, Notation::clock};

// The value of a field, with optional blanks around it; nothing if it is not written in this notation.
// Numbers may have thousands separators: the other of point and comma, blanks or apostrophes.
// Both notations of dates include 2020-12-31, 31.12.2020 and 31 Dec 2020, with or without a time and its
// zone: days since 1970-01-01 (UTC where a zone is given). clock: hours.
std::optional<double> value_of(std::string_view text, Notation notation);

// Of a number with a mark or unit, "<0.5", "12 %" or "$3": what is beside the number. Nothing for other
// texts.
std::optional<std::string> marks_of(std::string_view text);

// Whether the field is "", "NA", "NaN", "null", "None", "?" or a similar word.
bool is_missing(std::string_view text);
// Among numbers and dates also "n.d.", "unknown", "#N/A" and the like. They may be categories elsewhere.
bool is_missing_number(std::string_view text);

}  // namespace elbo
