#include "elbo/run/run_lines.h"

#include <algorithm>
#include <set>
#include <system_error>

#include "elbo/base/file.h"

namespace elbo {
namespace {

using nlohmann::ordered_json;

// null: one that is not finite.
bool is_number(const ordered_json& value) { return value.is_number() || value.is_null(); }

// Nothing that elbo writes is deeper; what prints JSON calls itself for each level.
bool is_flat(const ordered_json& value, int levels = 3) {
  return !value.is_structured() || (levels > 0 && std::ranges::all_of(value, [&](const ordered_json& part) {
                                      return is_flat(part, levels - 1);
                                    }));
}

bool is_as_written(const std::string& key, const ordered_json& value) {
  static const std::set<std::string> texts{"split", "phase", "event", "time", "how", "fingerprint", "error"};
  static const std::set<std::string> numbers{"loss", "epoch",         "seconds",           "samples_per_s",
                                             "lr",   "gradient_norm", "data_wait_seconds", "active_units"};
  if (texts.contains(key)) return value.is_string();
  if (numbers.contains(key)) return is_number(value);
  if (key == "terms" || key == "step_seconds")
    return value.is_object() && std::ranges::all_of(value, is_number);
  if (key == "kl_per_dim" || key == "code_uses")
    return value.is_array() && std::ranges::all_of(value, is_number);
  return is_flat(value);
}

}  // namespace

std::optional<ordered_json> parse_run_line(const std::string& line) {
  ordered_json parsed = ordered_json::parse(line, nullptr, false);
  if (!parsed.is_object()) return std::nullopt;
  const auto step = parsed.find("step");
  if (step == parsed.end() || !step->is_number_integer() || *step < 0) return std::nullopt;
  if (!parsed.contains("split") && !parsed.contains("event")) return std::nullopt;
  for (const auto& [key, value] : parsed.items())
    if (!is_as_written(key, value)) return std::nullopt;
  return parsed;
}

std::ifstream open_run_lines(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) require_readable_file(path);
  return std::ifstream(path);
}

}  // namespace elbo
