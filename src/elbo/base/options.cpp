#include "elbo/base/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

namespace po = boost::program_options;

template <typename Number>
bool parse_number(const std::string& text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool contains(const Range& range, double value) {
  return std::isfinite(value) && value <= range.high &&
         (range.open_low ? value > range.low : value >= range.low);
}

bool is_limited(const Range& range) { return range.high < 1e299; }

constexpr const char* most_whole = "9223372036854775807";

// Whether the text is a number above a limit; "" is none.
bool exceeds(const std::string& text, const std::string& limit) {
  if (limit.empty() || text.empty()) return false;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return *end == '\0' && value >= std::strtod(limit.c_str(), nullptr);
}

std::string describe(const Range& range, std::string_view kind) {
  const bool low = range.low > -1e299;
  const bool high = is_limited(range);
  if (low && high) return fmt::format("{} from {} to {}", kind, range.low, range.high);
  if (low) return fmt::format("{} {} {}", kind, range.open_low ? "above" : "of at least", range.low);
  if (high) return fmt::format("{} of at most {}", kind, range.high);
  return std::string(kind);
}

// The setting that begins at words[i]. Its value may be the next word: i is left at the last word that was
// used.
Setting take_setting(const std::vector<std::string>& words, size_t& i,
                     const std::function<OptionKind(const std::string& key)>& kind_of) {
  const std::string word = words[i].substr(2);
  if (const size_t equals = word.find('='); equals != std::string::npos)
    return {word.substr(0, equals), trim(word.substr(equals + 1))};
  const std::string next = i + 1 < words.size() ? words[i + 1] : "--";
  const OptionKind kind = kind_of(word);
  if (kind == OptionKind::flag) {
    if (lower_case(next) == "true" || lower_case(next) == "false")
      usage_error("--{} {}: a flag takes its value after '='; write --{}={}", word, next, word, next);
    return {word, "true"};
  }
  if (!next.starts_with("--") && next != "-h") {
    ++i;
    return {word, trim(next)};
  }
  if (kind == OptionKind::value) usage_error("--{}: has no value; write --{}=VALUE", word, word);
  return {word, "true"};
}

// A line up to a ';' that begins it or follows a blank: a remark, as other programs write it.
std::string without_remark(const std::string& line) {
  for (size_t at = line.find(';'); at != std::string::npos; at = line.find(';', at + 1))
    if (at == 0 || line[at - 1] == ' ' || line[at - 1] == '\t') return trim(line.substr(0, at));
  return line;
}

// Without a byte order mark, remarks that begin with ';' and the ends of lines of Windows.
std::string plain_ini(const std::string& text) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  std::istringstream lines(text.starts_with(byte_order_mark) ? text.substr(byte_order_mark.size()) : text);
  std::string plain;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    plain += without_remark(line) + "\n";
  }
  return plain;
}

std::string section_of(std::string_view key) { return std::string(key.substr(0, key.find('.'))); }

}  // namespace

void OptionTable::insert(Option option) {
  option.default_text = option.text();
  options_.push_back(std::move(option));
}

void OptionTable::add(std::string key, bool& target, std::string help) {
  insert({.key = std::move(key),
          .help = std::move(help),
          .expected = "true or false",
          .default_text = "",
          .assign =
              [&target](const std::string& given) {
                const std::string text = lower_case(given);
                const bool yes = text == "true" || text == "1" || text == "yes" || text == "on";
                const bool no = text == "false" || text == "0" || text == "no" || text == "off";
                if (yes || no) target = yes;
                return yes || no;
              },
          .text = [&target] { return std::string(target ? "true" : "false"); },
          .kind = OptionKind::flag});
}

void OptionTable::add(std::string key, int64_t& target, std::string help, Range range) {
  insert({.key = std::move(key),
          .help = std::move(help),
          .expected = describe(range, "a whole number"),
          .default_text = "",
          .assign =
              [&target, range](const std::string& text) {
                int64_t value = 0;
                if (!parse_number(text, value) || !contains(range, static_cast<double>(value))) return false;
                target = value;
                return true;
              },
          .text = [&target] { return fmt::format("{}", target); },
          .most = is_limited(range) ? "" : most_whole});
}

void OptionTable::add(std::string key, double& target, std::string help, Range range) {
  insert({.key = std::move(key),
          .help = std::move(help),
          .expected = describe(range, "a number"),
          .default_text = "",
          .assign =
              [&target, range](const std::string& text) {
                double value = 0;
                if (!parse_number(text, value) || !contains(range, value)) return false;
                target = value;
                return true;
              },
          .text = [&target] { return fmt::format("{}", target); },
          .most = is_limited(range) ? "" : "1e300"});
}

void OptionTable::add(std::string key, std::string& target, std::string help) {
  insert({.key = std::move(key),
          .help = std::move(help),
          .expected = "a text",
          .default_text = "",
          .assign =
              [&target](const std::string& text) {
                target = text;
                return true;
              },
          .text = [&target] { return target; }});
}

void OptionTable::add_path(std::string key, std::string& target, std::string help) {
  insert({.key = std::move(key),
          .help = std::move(help),
          .expected = "a path",
          .default_text = "",
          .assign =
              [&target](const std::string& text) {
                target = expand_home(text);
                return true;
              },
          .text = [&target] { return target; }});
}

void OptionTable::add(std::string key, std::vector<int64_t>& target, std::string help, Range range) {
  insert({.key = std::move(key),
          .help = std::move(help),
          .expected = describe(range, "whole numbers") + ", separated by commas",
          .default_text = "",
          .assign =
              [&target, range](const std::string& text) {
                std::vector<int64_t> values;
                for (const std::string& part : split(text, ',')) {
                  int64_t value = 0;
                  if (!parse_number(part, value) || !contains(range, static_cast<double>(value)))
                    return false;
                  values.push_back(value);
                }
                target = std::move(values);
                return true;
              },
          .text =
              [&target] {
                std::vector<std::string> parts;
                parts.reserve(target.size());
                for (const int64_t value : target) parts.push_back(fmt::format("{}", value));
                return join(parts, ",");
              }});
}

void OptionTable::add_choice(std::string key, std::string& target, std::vector<std::string> choices,
                             std::string help) {
  const std::string expected = "one of " + join(choices, ", ");
  insert({.key = std::move(key),
          .help = std::move(help),
          .expected = expected,
          .default_text = "",
          .assign =
              [&target, choices = std::move(choices)](const std::string& text) {
                const auto found = std::ranges::find(choices, lower_case(text), lower_case);
                if (found == choices.end()) return false;
                target = *found;
                return true;
              },
          .text = [&target] { return target; }});
}

void OptionTable::add_number_or(std::string key, std::string& target, std::vector<std::string> words,
                                std::string help, Range range) {
  const std::string expected =
      fmt::format("{}, or {}", describe(range, "a whole number"), join(words, " or "));
  insert({.key = std::move(key),
          .help = std::move(help),
          .expected = expected,
          .default_text = "",
          .assign =
              [&target, words = std::move(words), range](const std::string& text) {
                int64_t value = 0;
                const bool word = std::ranges::find(words, text) != words.end();
                if (!word && !(parse_number(text, value) && contains(range, static_cast<double>(value))))
                  return false;
                target = text;
                return true;
              },
          .text = [&target] { return target; }});
}

const OptionTable::Option* OptionTable::find(std::string_view key) const {
  const auto found = std::ranges::find(options_, key, &Option::key);
  return found == options_.end() ? nullptr : &*found;
}

bool OptionTable::has(std::string_view key) const { return find(key) != nullptr; }

OptionKind OptionTable::kind(std::string_view key) const {
  const Option* option = find(key);
  return option == nullptr ? OptionKind::unknown : option->kind;
}

bool OptionTable::is_set(std::string_view key) const {
  const Option* option = find(key);
  return option != nullptr && option->set;
}

bool OptionTable::is_default(std::string_view key) const {
  const Option* option = find(key);
  return option != nullptr && option->text() == option->default_text;
}

std::string OptionTable::value(std::string_view key) const {
  const Option* option = find(key);
  return option == nullptr ? "" : option->text();
}

void OptionTable::set(const Setting& setting, std::string_view origin) {
  const auto& [key, value] = setting;
  auto* option = const_cast<Option*>(find(key));
  if (option == nullptr) {
    const std::string nearest = nearest_key(key);
    if (nearest.empty()) usage_error("{}{}: no such option; --help lists the options", origin, key);
    usage_error("{}{}: no such option; did you mean {}?", origin, key, nearest);
  }
  if (!option->assign(value))
    usage_error("{}{}={}: expected {}{} ({})", origin, key, value, option->expected,
                exceeds(value, option->most) ? ", at most " + option->most : "",
                option->help.substr(0, option->help.find(';')));
  option->set = true;
}

// Compares whole keys first, then last parts: both --lr and --train.lr suggest optimizer.lr.
std::string OptionTable::nearest_key(const std::string& key) const {
  if (std::string nearest = nearest_name(key, keys()); !nearest.empty()) return nearest;
  const auto last_part = [](const std::string& text) { return text.substr(text.rfind('.') + 1); };
  std::vector<std::string> parts;
  for (const std::string& known : keys()) parts.push_back(last_part(known));
  const std::string nearest = nearest_name(last_part(key), parts);
  const auto found = std::ranges::find(parts, nearest);
  return nearest.empty() ? "" : keys()[static_cast<size_t>(found - parts.begin())];
}

std::vector<std::string> OptionTable::keys() const {
  std::vector<std::string> result;
  result.reserve(options_.size());
  for (const Option& option : options_) result.push_back(option.key);
  return result;
}

std::string OptionTable::help(size_t width,
                              const std::function<bool(const std::string& key)>& starred) const {
  std::vector<std::string> labels;
  size_t longest = 0;
  for (const Option& option : options_) {
    labels.push_back(fmt::format("{} --{}={}", starred && starred(option.key) ? "*" : " ", option.key,
                                 option.default_text.empty() ? "…" : option.default_text));
    longest = std::max(longest, labels.back().size());
  }
  const size_t indent = std::min(longest + 2, width * 2 / 5);
  std::string text;
  std::string section;
  for (size_t i = 0; i < options_.size(); ++i) {
    const auto& [key, help, expected, default_text, assign, value, kind, set, most] = options_[i];
    if (key.find('.') != std::string::npos && section_of(key) != section) {
      section = section_of(key);
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    text += hanging(labels[i], fmt::format("{} ({})", help, expected), indent, width);
  }
  return text;
}

std::string OptionTable::ini(const std::vector<Setting>& replaced) const {
  std::string text;
  std::string section;
  for (const Option& option : options_) {
    if (section_of(option.key) != section) {
      text += fmt::format("{}[{}]\n", section.empty() ? "" : "\n", section_of(option.key));
      section = section_of(option.key);
    }
    const auto other = std::ranges::find(replaced, option.key, &Setting::first);
    const std::string value = other == replaced.end() ? option.text() : other->second;
    if (value != trim(value) || value.find_first_of("#\n\r") != std::string::npos ||
        value != without_remark(value))
      usage_error(
          "{}={}: cannot be written to an INI file: expected no '#', no ';' after a blank, no line break, no "
          "blank at either end",
          option.key, value);
    text += fmt::format("{} = {}\n", option.key.substr(section.size() + 1), value);
  }
  return text;
}

CommandLine parse_command_line(const std::vector<std::string>& words,
                               const std::function<OptionKind(const std::string& key)>& kind_of) {
  // Parsed by hand: program_options takes the words after an unknown option as its values, even positional
  // ones.
  CommandLine line;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h") {
      line.help = true;
    } else if (word.starts_with("--") && word.size() > 2) {
      line.settings.push_back(take_setting(words, i, kind_of));
    } else if (word.starts_with('-') && word.size() > 1) {
      usage_error("{}: no such option; options are written --name=value or --name value", word);
    } else {
      line.positional.push_back(expand_home(word));
    }
  }
  return line;
}

std::vector<Setting> parse_ini(const std::string& text, const std::string& name) {
  if (text.starts_with("\x89HDF"))
    usage_error(
        "{}: is an HDF5 file; expected a configuration (INI), such as the run.ini of a run of elbo train "
        "DATA.h5",
        name);
  std::istringstream stream(plain_ini(text));
  const po::options_description none;
  std::vector<Setting> settings;
  try {
    for (const po::option& option : po::parse_config_file(stream, none, true).options) {
      if (std::ranges::find(settings, option.string_key, &Setting::first) != settings.end())
        usage_error("{}: sets {} twice; remove one of the lines", name, option.string_key);
      settings.emplace_back(option.string_key, option.value.empty() ? "" : trim(option.value.front()));
    }
  } catch (const po::error& error) {
    usage_error("{}: is not a valid INI file (expected lines [section] and key = value): {}", name,
                error.what());
  }
  return settings;
}

}  // namespace elbo
