// Options: each is bound to a variable and declares its meaning, unit and range once. Strict parsing, the
// --help text, `elbo models NAME` and the resolved configuration are generated from this table.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace elbo {

struct Range {
  double low = -1e300, high = 1e300;
  bool open_low = false;  // low itself is excluded
  static Range at_least(double x) { return {.low = x}; }
  static Range above(double x) { return {.low = x, .high = 1e300, .open_low = true}; }
  static Range between(double a, double b) { return {.low = a, .high = b}; }
};

using Setting = std::pair<std::string, std::string>;  // key ("section.key"), value

// A flag is an option that is true or false: it takes a value only after '='.
enum class OptionKind { unknown, flag, value };

class OptionTable {
 public:
  // Binds `key` to `target`, whose current value is the default. `help` states the meaning and the unit: a
  // phrase, which error messages quote, and details after a semicolon. `target` must outlive the table.
  void add(std::string key, bool& target, std::string help);
  void add(std::string key, int64_t& target, std::string help, Range range = {});
  void add(std::string key, double& target, std::string help, Range range = {});
  void add(std::string key, std::string& target, std::string help);
  void add_path(std::string key, std::string& target, std::string help);  // "~/" is the home directory
  void add(std::string key, std::vector<int64_t>& target, std::string help,
           Range range = {});  // "400,200"; "" is the empty list
  // The value is one of `choices`.
  void add_choice(std::string key, std::string& target, std::vector<std::string> choices, std::string help);
  // The value is a whole number or one of `words`; `target` holds the text ("auto", "epoch", "500").
  void add_number_or(std::string key, std::string& target, std::vector<std::string> words, std::string help,
                     Range range = {});

  // Assigns the value. Throws a usage Error for an unknown key (naming the nearest known one) or an invalid
  // value (naming what was expected). `origin` is where the setting comes from: "--" or a file's name.
  void set(const Setting& setting, std::string_view origin);
  bool has(std::string_view key) const;
  OptionKind kind(std::string_view key) const;
  // Whether set() was called for `key`: the value is the user's, not the default.
  bool is_set(std::string_view key) const;
  bool is_default(std::string_view key) const;    // whether the value of a known key is the default
  std::string value(std::string_view key) const;  // as set() takes it; "" for an unknown key

  // One block per section: key, default, meaning and range, in lines of `width` characters. A star precedes
  // the options for which `starred` is true.
  std::string help(size_t width, const std::function<bool(const std::string& key)>& starred = {}) const;
  // All current values as an INI file, which parse_ini() and set() restore exactly. `replaced`: values to
  // write instead of the current ones.
  std::string ini(const std::vector<Setting>& replaced = {}) const;
  std::vector<std::string> keys() const;

 private:
  struct Option {
    std::string key, help, expected, default_text;
    std::function<bool(const std::string&)> assign;  // false: the value is not as expected
    std::function<std::string()> text;
    OptionKind kind = OptionKind::value;
    bool set = false;
    std::string most{};  // of a number, where `expected` names no upper limit
  };
  void insert(Option option);
  const Option* find(std::string_view key) const;
  std::string nearest_key(const std::string& key) const;  // "" if none is close
  std::vector<Option> options_;
};

// The arguments after the command's name: settings (--key=value, --key value, --flag) and positional
// arguments, in which "~/" is the home directory.
struct CommandLine {
  std::vector<std::string> positional;
  std::vector<Setting> settings;
  bool help = false;
};
// kind_of says which options are flags. An option that is unknown is left to the table that reports it.
// Throws a usage Error for an option without its value.
CommandLine parse_command_line(const std::vector<std::string>& words,
                               const std::function<OptionKind(const std::string& key)>& kind_of);

// Settings of an INI file, in order. Throws a usage Error that names the file and the syntax error.
std::vector<Setting> parse_ini(const std::string& text, const std::string& name);

}  // namespace elbo
