#include "elbo/convert/csv_values.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>

#include "elbo/base/text.h"
#include "elbo/convert/csv_reader.h"

namespace elbo {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

// Reads a text from its beginning.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}
  bool done() const { return rest_.empty(); }
  char front() const { return rest_.empty() ? '\0' : rest_.front(); }
  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  // The first of the words with which the rest begins; "" if there is none.
  template <size_t count>
  std::string_view take_one(const std::array<std::string_view, count>& words) {
    for (const std::string_view word : words)
      if (take(word)) return word;
    return "";
  }
  std::string_view take_while(bool (*wanted)(char)) {
    size_t length = 0;
    while (length < rest_.size() && wanted(rest_[length])) ++length;
    const std::string_view taken = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return taken;
  }
  // A whole number of `least` to `most` digits.
  std::optional<int> take_number(size_t least, size_t most) {
    const std::string_view digits = take_while(is_digit);
    if (digits.size() < least || digits.size() > most) return std::nullopt;
    int number = 0;
    for (const char c : digits) number = 10 * number + (c - '0');
    return number;
  }

 private:
  std::string_view rest_;
};

constexpr std::string_view no_break_space = "\u00a0", minus_sign = "\u2212";

// Whether it begins with a digit, or with a sign and a digit, as most fields of tables do, and no word for a
// missing value does.
bool begins_as_number(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && is_digit(text.front());
}

std::string_view without_blanks(std::string_view text) {
  static constexpr std::array<std::string_view, 5> blanks{" ", "\t", "\r", "\n", no_break_space};
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view blank : blanks) {
      if (text.starts_with(blank)) {
        text.remove_prefix(blank.size());
        more = true;
      } else if (text.ends_with(blank)) {
        text.remove_suffix(blank.size());
        more = true;
      }
    }
  }
  return text;
}

// Digits before the decimal sign, without thousands separators; "" if these are not between groups of three.
std::string whole_digits(Scanner& scanner, char thousands) {
  const std::array<std::string_view, 6> separators{
      std::string_view(&thousands, 1), " ", "'", no_break_space, "\u202f", "\u2019"};
  std::string digits(scanner.take_while(is_digit));
  const std::string_view separator = scanner.take_one(separators);
  if (separator.empty()) return digits;
  if (digits.empty() || digits.size() > 3 || digits.front() == '0') return "";
  do {
    const std::string_view group = scanner.take_while(is_digit);
    if (group.size() != 3) return "";
    digits += group;
  } while (scanner.take(separator));
  return digits;
}

std::optional<double> number_of(std::string_view text, char decimal, char thousands) {
  Scanner scanner(without_blanks(text));
  std::string plain;
  if (scanner.take("-") || scanner.take(minus_sign)) {
    plain = "-";
  } else {
    scanner.take("+");
  }
  const bool begins_with_digit = is_digit(scanner.front());
  const std::string whole = whole_digits(scanner, thousands);
  if (begins_with_digit && whole.empty()) return std::nullopt;
  plain += whole;
  if (scanner.take(std::string_view(&decimal, 1))) {
    const std::string_view fraction = scanner.take_while(is_digit);
    if (fraction.empty() && whole.empty()) return std::nullopt;
    plain += '.';
    plain += fraction;
  } else if (whole.empty()) {
    return std::nullopt;
  }
  if (scanner.take("e") || scanner.take("E")) {
    plain += 'e';
    if (scanner.front() == '-') plain += '-';
    if (!scanner.take("-")) scanner.take("+");
    const std::string_view exponent = scanner.take_while(is_digit);
    if (exponent.empty()) return std::nullopt;
    plain += exponent;
  }
  double value = 0;
  if (!scanner.done() || !parse_real(plain, value)) return std::nullopt;
  return value;
}

// "Jan", "january", …: 1 to 12.
std::optional<int> month_named(std::string_view word) {
  static constexpr std::array<std::string_view, 12> names{"january",   "february", "march",    "april",
                                                          "may",       "june",     "july",     "august",
                                                          "september", "october",  "november", "december"};
  const std::string lower = lower_case(std::string(word));
  for (size_t i = 0; i < names.size(); ++i)
    if (lower.size() >= 3 && names.at(i).starts_with(lower)) return static_cast<int>(i) + 1;
  return std::nullopt;
}

std::optional<double> days_of(std::optional<int> year, std::optional<int> month, std::optional<int> day) {
  if (!year || !month || !day || *year < 1000) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  return static_cast<double>(std::chrono::sys_days(date).time_since_epoch().count());
}

// Four digits, or two: 1969 to 2068, as in POSIX.
std::optional<int> take_year(Scanner& scanner) {
  const std::string_view digits = scanner.take_while(is_digit);
  if (digits.size() != 2 && digits.size() != 4) return std::nullopt;
  int year = 0;
  for (const char c : digits) year = 10 * year + (c - '0');
  if (digits.size() == 4) return year;
  return year < 69 ? 2000 + year : 1900 + year;
}

std::optional<int> take_month(Scanner& scanner) {
  return is_letter(scanner.front()) ? month_named(scanner.take_while(is_letter)) : scanner.take_number(1, 2);
}

// "Dec 31, 2020"
std::optional<double> take_month_day_year(Scanner& scanner) {
  const std::optional<int> month = month_named(scanner.take_while(is_letter));
  scanner.take(".");
  if (!scanner.take(" ")) scanner.take("-");
  const std::optional<int> day = scanner.take_number(1, 2);
  scanner.take(",");
  if (!scanner.take(" ")) scanner.take("-");
  return days_of(take_year(scanner), month, day);
}

std::optional<double> take_date(Scanner& scanner, bool month_first) {
  static constexpr std::array<std::string_view, 4> separators{"-", "/", ".", " "};
  if (is_letter(scanner.front())) return take_month_day_year(scanner);
  const std::string_view first = scanner.take_while(is_digit);
  if (first.size() != 1 && first.size() != 2 && first.size() != 4) return std::nullopt;
  int number = 0;
  for (const char c : first) number = 10 * number + (c - '0');
  const std::string_view separator = scanner.take_one(separators);
  const bool named = is_letter(scanner.front());
  if (separator.empty() || (separator == " " && !named)) return std::nullopt;
  const std::optional<int> second = take_month(scanner);
  const bool third = scanner.take(separator) || (named && scanner.take(" "));
  if (first.size() == 4 && third) return days_of(number, second, scanner.take_number(1, 2));
  if (first.size() == 4 && number >= 1800 && number < 2200) return days_of(number, second, 1);
  if (!third || first.size() == 4) return std::nullopt;
  const std::optional<int> year = take_year(scanner);
  const bool swapped = month_first && !named && separator != ".";
  return swapped ? days_of(year, number, second) : days_of(year, second, number);
}

// Hours of "23:59", "23:59:30.5", "11:59 PM".
std::optional<double> take_clock(Scanner& scanner) {
  std::optional<int> hours = scanner.take_number(1, 3);
  if (!hours || !scanner.take(":")) return std::nullopt;
  const std::optional<int> minutes = scanner.take_number(2, 2);
  if (!minutes || *minutes > 59) return std::nullopt;
  double seconds = 0;
  if (scanner.take(":")) {
    const std::optional<int> whole = scanner.take_number(2, 2);
    if (!whole || *whole > 60) return std::nullopt;
    seconds = *whole;
    if (scanner.take(".") || scanner.take(",")) {
      const std::string fraction = "0." + std::string(scanner.take_while(is_digit));
      double part = 0;
      if (!parse_real(fraction, part)) return std::nullopt;
      seconds += part;
    }
  }
  Scanner after = scanner;
  after.take(" ");
  const std::string half = lower_case(std::string(after.take_while(is_letter)));
  if (half == "am" || half == "pm") {
    if (*hours < 1 || *hours > 12) return std::nullopt;
    hours = *hours % 12 + (half == "pm" ? 12 : 0);
    scanner = after;
  }
  return *hours + *minutes / 60.0 + seconds / 3600;
}

// Hours east of Greenwich; 0 where no zone is given.
std::optional<double> take_zone(Scanner& scanner) {
  scanner.take(" ");
  if (scanner.take("Z") || scanner.take("UTC") || scanner.take("GMT")) return 0;
  const bool west = scanner.front() == '-';
  if (!scanner.take("+") && !scanner.take("-")) return 0;
  const std::string_view digits = scanner.take_while(is_digit);
  if (digits.size() != 2 && digits.size() != 4) return std::nullopt;
  double hours = 10 * (digits[0] - '0') + (digits[1] - '0');
  std::optional<int> minutes = 0;
  if (digits.size() == 4) minutes = 10 * (digits[2] - '0') + (digits[3] - '0');
  if (digits.size() == 2 && scanner.take(":")) minutes = scanner.take_number(2, 2);
  if (!minutes) return std::nullopt;
  hours += *minutes / 60.0;
  return west ? -hours : hours;
}

std::optional<double> date_of(std::string_view text, bool month_first) {
  Scanner scanner(without_blanks(text));
  std::optional<double> days = take_date(scanner, month_first);
  if (!days || scanner.done()) return days;
  scanner.take(",");
  if (!scanner.take("T") && !scanner.take(" ")) return std::nullopt;
  const std::optional<double> hours = take_clock(scanner);
  if (!hours || *hours > 24) return std::nullopt;
  const std::optional<double> zone = take_zone(scanner);
  if (!zone || !scanner.done()) return std::nullopt;
  return *days + (*hours - *zone) / 24;
}

}  // namespace

std::optional<double> value_of(std::string_view text, Notation notation) {
  double value = 0;
  if (notation == Notation::point && parse_real(text, value)) return value;
  if (notation == Notation::point) return number_of(text, '.', ',');
  if (notation == Notation::comma) return number_of(text, ',', '.');
  if (notation != Notation::clock) return date_of(text, notation == Notation::month_first);
  Scanner scanner(without_blanks(text));
  const std::optional<double> hours = take_clock(scanner);
  return scanner.done() ? hours : std::nullopt;
}

std::optional<std::string> marks_of(std::string_view text) {
  constexpr size_t longest = 12;
  const std::string_view digits = "0123456789";
  size_t first = text.find_first_of(digits);
  if (first == std::string_view::npos) return std::nullopt;
  const size_t last = text.find_last_of(digits);
  while (first > 0 && std::string_view("+-.,").find(text[first - 1]) != std::string_view::npos) --first;
  const std::string_view before = without_blanks(text.substr(0, first)),
                         after = without_blanks(text.substr(last + 1)),
                         number = text.substr(first, last + 1 - first);
  if (before.size() > longest || after.size() > longest || (before.empty() && after.empty()) ||
      std::ranges::any_of(before, is_letter))
    return std::nullopt;
  if (!value_of(number, Notation::point) && !value_of(number, Notation::comma)) return std::nullopt;
  return std::string(before) + std::string(after);
}

bool is_missing(std::string_view text) {
  if (begins_as_number(text)) return false;
  static constexpr std::array<std::string_view, 13> words{"",     "NA",   "N/A",  "n/a",  "NaN", "nan", "NAN",
                                                          "null", "NULL", "None", "none", "?",   "-"};
  return std::ranges::find(words, without_blanks(text)) != words.end();
}

bool is_missing_number(std::string_view text) {
  if (begins_as_number(text)) return false;
  static constexpr std::array<std::string_view, 36> words{
      "na",      "n/a",     "nan",   "-nan",  "null",   "none",          "nil",     "n.a.",   "n.a",
      "n.d.",    "n.d",     "nd",    "n/d",   "nat",    "<na>",          "(null)",  "#n/a",   "#na",
      "#value!", "#div/0!", "#num!", "#ref!", "#name?", "missing",       "unknown", "*",      "no data",
      ".",       "..",      "...",   "--",    "---",    "not available", "n. d.",   "\u2013", "\u2014"};
  return is_missing(text) ||
         std::ranges::find(words, lower_case(std::string(without_blanks(text)))) != words.end();
}

}  // namespace elbo
