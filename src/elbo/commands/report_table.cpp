#include "elbo/commands/report_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/run/config.h"

namespace elbo {
namespace {

using nlohmann::ordered_json;

// Options that decide results and whose values differ, in the order of the configuration.
std::vector<std::string> differing_options(const ordered_json& runs) {
  std::vector<std::string> order;
  std::map<std::string, std::set<std::string>> values;
  std::map<std::string, size_t> present;
  for (const auto& run : runs)
    for (const auto& option : run["config"]) {
      const auto key = option[0].get<std::string>();
      if (!decides_results(key)) continue;
      if (present[key]++ == 0) order.push_back(key);
      values[key].insert(option[1].get<std::string>());
    }
  std::erase_if(
      order, [&](const std::string& key) { return values[key].size() == 1 && present[key] == runs.size(); });
  return order;
}

// What was measured at the end: by elbo evaluate, or else by the last evaluation of training.
std::map<std::string, ordered_json> measures_of(const ordered_json& run, std::vector<std::string>& order) {
  static const std::set<std::string> others{"step", "epoch", "seconds", "rows", "importance_samples"};
  std::map<std::string, ordered_json> found;
  const auto take = [&](const ordered_json& values) {
    for (const auto& [name, value] : values.items()) {
      if (!value.is_number() || others.contains(name)) continue;
      if (std::ranges::find(order, name) == order.end()) order.push_back(name);
      found[name] = value;
    }
  };
  const ordered_json& last = run["state"] == "finished" ? run["evaluation"] : run["last"];
  if (!last.is_object()) return found;
  take(last);
  if (last.contains("terms")) take(last["terms"]);
  return found;
}

ordered_json median_rate(const ordered_json& run) {
  const auto rate = run["curves"].find("train/samples_per_s");
  if (rate == run["curves"].end()) return nullptr;
  std::vector<double> rates;
  for (const auto& value : (*rate)["y"])
    if (value.is_number()) rates.push_back(value.get<double>());
  if (rates.empty()) return nullptr;
  std::ranges::nth_element(rates, rates.begin() + std::ssize(rates) / 2);
  return static_cast<int64_t>(rates[rates.size() / 2]);
}

ordered_json option_of(const ordered_json& run, const std::string& key) {
  for (const auto& option : run["config"])
    if (option[0] == key) return option[1];
  return nullptr;
}

// Of the parameters after the last step, as far as the files of the run have it.
ordered_json fingerprint_of(const ordered_json& run) {
  if (run["state"] == "finished") return run["evaluation"].value("fingerprint", ordered_json());
  for (const auto& event : run["events"])
    if (event["event"] == "ended" && event["step"] == run["last_step"] && event.contains("fingerprint"))
      return event["fingerprint"];
  return run.value("fingerprint", ordered_json());
}

std::string text_of(const ordered_json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

RunTable table_of_runs(const ordered_json& runs) {
  const std::vector<std::string> options = differing_options(runs);
  std::vector<std::string> measures{"loss"};
  std::vector<std::map<std::string, ordered_json>> measured;
  measured.reserve(runs.size());
  for (const auto& run : runs) measured.push_back(measures_of(run, measures));
  RunTable table{.columns = options, .rows = {}};
  table.columns.insert(table.columns.end(), {"state", "step"});
  table.columns.insert(table.columns.end(), measures.begin(), measures.end());
  table.columns.insert(table.columns.end(), {"samples/s", "run", "fingerprint"});
  for (size_t i = 0; i < runs.size(); ++i) {
    const ordered_json& run = runs[i];
    std::vector<ordered_json> row;
    row.reserve(table.columns.size());
    for (const std::string& key : options) row.push_back(option_of(run, key));
    row.push_back(run["state"]);
    row.push_back(run["last_step"]);
    for (const std::string& name : measures) row.push_back(measured[i][name]);
    row.push_back(median_rate(run));
    row.push_back(run["name"]);
    row.push_back(fingerprint_of(run));
    table.rows.push_back(std::move(row));
  }
  return table;
}

void sort_runs(ordered_json& runs, RunTable& table, const std::string& column) {
  const auto found = std::ranges::find(table.columns, column);
  if (found == table.columns.end())
    usage_error("--sort={}: no such column; expected one of {}", column, fmt::join(table.columns, ", "));
  const auto place = static_cast<size_t>(found - table.columns.begin());
  const auto key = [&](size_t row) {
    const ordered_json& value = table.rows[row][place];
    return std::pair(value.is_number() ? 0 : value.is_string() ? 1 : 2, value);
  };
  std::vector<size_t> order(table.rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return key(a) < key(b); });
  ordered_json sorted_runs = ordered_json::array();
  std::vector<std::vector<ordered_json>> sorted_rows;
  sorted_rows.reserve(order.size());
  for (const size_t row : order) {
    sorted_runs.push_back(std::move(runs[row]));
    sorted_rows.push_back(std::move(table.rows[row]));
  }
  runs = std::move(sorted_runs);
  table.rows = std::move(sorted_rows);
}

std::string RunTable::markdown() const {
  constexpr size_t shown_digits = 12;  // of a fingerprint
  std::vector<std::vector<std::string>> lines{columns};
  std::vector<size_t> widths;
  widths.reserve(columns.size());
  for (const std::string& column : columns) widths.push_back(column.size());
  for (const std::vector<ordered_json>& row : rows) {
    std::vector<std::string>& line = lines.emplace_back();
    for (size_t i = 0; i < row.size(); ++i) {
      std::string text =
          row[i].is_number_float() ? fmt::format("{:.4f}", row[i].get<double>()) : text_of(row[i]);
      if (columns[i] == "fingerprint") text.resize(std::min(text.size(), shown_digits));
      std::ranges::replace(text, '|', '/');  // which would begin a column
      widths[i] = std::max(widths[i], text.size());
      line.push_back(std::move(text));
    }
  }
  std::string text;
  for (size_t i = 0; i < lines.size(); ++i) {
    for (size_t c = 0; c < columns.size(); ++c) text += fmt::format("| {:<{}} ", lines[i][c], widths[c]);
    text += "|\n";
    if (i > 0) continue;
    for (const size_t width : widths) text += fmt::format("|{}", std::string(width + 2, '-'));
    text += "|\n";
  }
  return text;
}

std::string RunTable::tab_separated() const {
  std::string text = fmt::format("{}\n", fmt::join(columns, "\t"));
  for (const std::vector<ordered_json>& row : rows) {
    std::vector<std::string> fields;
    fields.reserve(row.size());
    for (const ordered_json& value : row) fields.push_back(text_of(value));
    text += fmt::format("{}\n", fmt::join(fields, "\t"));
  }
  return text;
}

}  // namespace elbo
