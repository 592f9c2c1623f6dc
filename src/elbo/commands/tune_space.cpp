#include "elbo/commands/tune_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "elbo/base/error.h"

namespace elbo {
namespace {

std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

// In [0, 1), by a key.
double uniform(Key key) { return std::ldexp(static_cast<double>(key.value() >> 11U), -53); }

// LOW..HIGH or LOW..HIGH:log.
std::optional<SearchedValues> range_of(const std::string& key, std::string text) {
  const size_t dots = text.find("..");
  if (dots == std::string::npos) return std::nullopt;
  SearchedValues values{.key = key};
  const std::string whole_text = text;
  if (text.ends_with(":log")) {
    values.logarithmic = true;
    text.resize(text.size() - 4);
  }
  const std::string first = text.substr(0, dots), last = text.substr(dots + 2);
  const std::optional<double> low = number_in(first), high = number_in(last);
  if (!low || !high || *low >= *high || (values.logarithmic && *low <= 0))
    usage_error(
        "--{}={}: is not a range; expected LOW..HIGH of two numbers, the smaller one first, such as 1..64, "
        "or "
        "with :log for numbers above 0, such as 1e-4..1e-2:log",
        key, whole_text);
  values.low = *low;
  values.high = *high;
  const auto is_whole = [](const std::string& number) {
    return number.find_first_not_of("-0123456789") == std::string::npos;
  };
  values.whole = is_whole(first) && is_whole(last);
  return values;
}

// Values with commas between; one that has commas is in brackets: [400,400],[200].
std::vector<std::string> list_of(const std::string& key, const std::string& text) {
  std::vector<std::string> list{""};
  int depth = 0;
  for (const char letter : text) {
    if (letter == ',' && depth == 0) {
      list.emplace_back();
      continue;
    }
    if (letter == '[') ++depth;
    if (letter == ']') --depth;
    if (letter != '[' && letter != ']') list.back() += letter;
  }
  if (depth != 0 || (list.size() > 1 && std::ranges::count(list, "") > 0))
    usage_error("--{}={}: expected values with commas between, and values with commas in brackets", key,
                text);
  return list;
}

}  // namespace

std::string SearchedValues::draw(Key random) const {
  const double share = uniform(random);
  if (!list.empty())
    return list[std::min(list.size() - 1, static_cast<size_t>(share * static_cast<double>(list.size())))];
  if (whole && !logarithmic) return fmt::format("{}", std::floor(low + share * (high - low + 1)));
  const double value = logarithmic ? low * std::pow(high / low, share) : low + share * (high - low);
  return whole ? fmt::format("{}", std::round(value)) : fmt::format("{:.4g}", value);
}

Space read_space(const std::vector<Setting>& settings) {
  Space space;
  for (const auto& [key, text] : settings) {
    if (key == "run.directory" || key == "run.resume")
      usage_error("--{}: is set by elbo tune; choose the folder of the trials with --folder", key);
    if (std::optional<SearchedValues> range = range_of(key, text)) {
      space.searched.push_back(std::move(*range));
      continue;
    }
    std::vector<std::string> list = list_of(key, text);
    if (list.size() > 1)
      space.searched.push_back({.key = key, .list = std::move(list)});
    else
      space.fixed.emplace_back(key, list.front());
  }
  if (space.searched.empty())
    usage_error(
        "elbo tune: nothing to search; expected settings with several values, such as "
        "--model.beta=0.5..16:log or "
        "--model.latent=10,20");
  return space;
}

std::vector<std::vector<Setting>> draw_trials(const Space& space, int64_t count, int64_t seed) {
  constexpr uint64_t attempts = 64;
  std::vector<std::vector<Setting>> trials;
  std::set<std::vector<Setting>> known;
  const Key search = Key(static_cast<uint64_t>(seed)).with("tune");
  for (int64_t number = 0; number < count; ++number)
    for (uint64_t attempt = 0; attempt < attempts; ++attempt) {
      const Key key = search.with(static_cast<uint64_t>(number)).with(attempt);
      std::vector<Setting> settings;
      settings.reserve(space.searched.size());
      for (const SearchedValues& values : space.searched)
        settings.emplace_back(values.key, values.draw(key.with(values.key)));
      if (!known.insert(settings).second) continue;
      trials.push_back(std::move(settings));
      break;
    }
  return trials;
}

}  // namespace elbo
