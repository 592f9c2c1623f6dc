#include "elbo/commands/report_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <system_error>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/text.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"
#include "elbo/run/run_lines.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// A curve in a bounded number of intervals of equal length in steps: the mean, the least and the largest
// value of each.
class Curve {
 public:
  void add(int64_t step, double value) {
    if (!std::isfinite(value)) return;
    steps_.push_back(static_cast<double>(step));
    values_.push_back(value);
  }

  ordered_json json(int64_t points) const {
    ordered_json x = ordered_json::array(), y = x, low = x, high = x;
    const size_t count = steps_.size(),
                 each = (count + static_cast<size_t>(points) - 1) / static_cast<size_t>(points);
    for (size_t first = 0; first < count; first += each) {
      const size_t end = std::min(count, first + each);
      double sum = 0, step = 0, least = values_[first], most = least;
      for (size_t i = first; i < end; ++i) {
        sum += values_[i];
        step += steps_[i];
        least = std::min(least, values_[i]);
        most = std::max(most, values_[i]);
      }
      const auto n = static_cast<double>(end - first);
      x.push_back(std::round(step / n));
      y.push_back(short_number(sum / n));
      if (each == 1) continue;
      low.push_back(short_number(least));
      high.push_back(short_number(most));
    }
    ordered_json curve{{"x", x}, {"y", y}};
    if (each > 1) curve.update({{"low", low}, {"high", high}});
    return curve;
  }

 private:
  std::vector<double> steps_, values_;
};

// Every k-th of the entries, so that at most `most` are left, the last among them.
template <typename T>
std::vector<T> thinned(const std::vector<T>& all, size_t most) {
  if (all.size() <= most) return all;
  std::vector<T> kept;
  kept.reserve(most);
  for (size_t i = 0; i < most; ++i) kept.push_back(all[i * (all.size() - 1) / std::max<size_t>(1, most - 1)]);
  return kept;
}

double number_of(const ordered_json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

// The curves of metrics.jsonl, and the KL of each latent dimension at each evaluation.
struct Metrics {
  std::map<std::string, Curve> curves;  // by "split/term"
  std::vector<std::string> order;
  std::vector<std::pair<int64_t, std::vector<double>>> kl;
  ordered_json last;       // line of an evaluation
  ordered_json code_uses;  // of the last evaluation that counted them
  int64_t last_step = 0;

  void add(const std::string& name, int64_t step, const ordered_json& value) {
    const auto [curve, is_new] = curves.try_emplace(name);
    if (is_new) order.push_back(name);
    curve->second.add(step, number_of(value));
  }

  void add_line(const ordered_json& line) {
    if (!line.contains("split")) return;
    const auto step = line["step"].get<int64_t>();
    const auto split = line["split"].get<std::string>();
    last_step = std::max(last_step, step);
    for (const auto& [key, value] : line.items()) {
      if (key == "terms")
        for (const auto& [term, number] : value.items()) add(fmt::format("{}/{}", split, term), step, number);
      if (value.is_number() && key != "step" && key != "epoch" && key != "seconds")
        add(fmt::format("{}/{}", split, key), step, value);
    }
    if (split == "train") return;
    last = line;
    if (line.contains("code_uses")) code_uses = {{"step", step}, {"uses", line["code_uses"]}};
    if (line.contains("kl_per_dim")) {
      std::vector<double> values;
      for (const ordered_json& value : line["kl_per_dim"]) values.push_back(number_of(value));
      kl.emplace_back(step, std::move(values));
    }
  }
};

Metrics read_metrics(const fs::path& run) {
  Metrics metrics;
  std::ifstream file = open_run_lines(run / "metrics.jsonl");
  for (std::string line; std::getline(file, line);)
    if (const auto parsed = parse_run_line(line)) metrics.add_line(*parsed);
  return metrics;
}

// The dimensions with the largest KL at the end, in this order; values[dimension][evaluation].
ordered_json kl_over_time(const Metrics& metrics, const ReportLimits& limits) {
  if (metrics.kl.empty() || metrics.kl.back().second.empty()) return nullptr;
  const std::vector<double>& final = metrics.kl.back().second;
  std::vector<size_t> order(final.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return final[a] > final[b]; });
  if (order.size() > static_cast<size_t>(limits.dimensions))
    order.resize(static_cast<size_t>(limits.dimensions));
  const auto shown = thinned(metrics.kl, static_cast<size_t>(limits.steps));
  ordered_json steps = ordered_json::array(), values = ordered_json::array();
  for (const auto& [step, kl] : shown) steps.push_back(step);
  for (const size_t dimension : order) {
    ordered_json row = ordered_json::array();
    for (const auto& [step, kl] : shown)
      row.push_back(dimension < kl.size() ? short_number(kl[dimension]) : ordered_json(nullptr));
    values.push_back(std::move(row));
  }
  return {{"steps", steps}, {"dimensions", order}, {"of", final.size()}, {"values", values}};
}

struct SampleFile {
  int64_t step;
  fs::path path;
};

// The files RUN/samples/step_N…, in the order of steps.
std::vector<SampleFile> sample_files(const fs::path& run, bool reconstructions) {
  std::error_code ignored;
  std::vector<SampleFile> files;
  for (const fs::path& path : entries_of(run / "samples", ignored)) {
    const std::string name = path.stem();
    if (!name.starts_with("step_") || name.ends_with("_reconstruction") != reconstructions) continue;
    files.push_back({std::strtoll(name.c_str() + 5, nullptr, 10), path});
  }
  std::ranges::sort(files, {}, &SampleFile::step);
  return files;
}

ordered_json samples_over_time(const std::vector<SampleFile>& files, int64_t bytes) {
  ordered_json list = ordered_json::array();
  if (files.empty()) return list;
  std::error_code ignored;
  const auto each = std::max<int64_t>(1, static_cast<int64_t>(fs::file_size(files.back().path, ignored)));
  for (const SampleFile& file :
       thinned(files, static_cast<size_t>(std::clamp<int64_t>(bytes / each, 1, 16)))) {
    const std::string ending = file.path.extension(), content = read_file(file.path);
    ordered_json entry{{"step", file.step}};
    if (ending == ".png") entry["image"] = data_address("image/png", content);
    if (ending == ".wav") entry["sound"] = data_address("audio/wav", content);
    if (ending == ".txt") entry["text"] = shortened(printable(content, "\n\t"), 4000);
    list.push_back(std::move(entry));
  }
  return list;
}

// Every option as [key, value, whether it is the default].
ordered_json configuration(const std::string& ini, const std::string& name, std::string& model) {
  ordered_json list = ordered_json::array();
  const std::vector<Setting> settings = parse_ini(ini, name);
  for (const auto& [key, value] : settings)
    if (key == "model.name") model = value;
  RunConfig defaults;
  defaults.model = find_model(model);
  OptionTable table = defaults.table();
  for (const Setting& setting : settings)
    if (table.has(setting.first)) table.set(setting, name + ": ");
  for (const std::string& key : table.keys())
    if (key != "run.resume" && key != "run.change")
      list.push_back({key, table.value(key), table.is_default(key)});
  return list;
}

ordered_json read_events(const fs::path& run) {
  constexpr size_t most = 300;
  std::vector<ordered_json> all;
  std::ifstream file = open_run_lines(run / "events.jsonl");
  for (std::string line; std::getline(file, line);)
    if (std::optional<ordered_json> parsed = parse_run_line(line); parsed && parsed->contains("event"))
      all.push_back(std::move(*parsed));
  // Checkpoints are many, the others matter more.
  if (all.size() > most)
    std::erase_if(all, [](const ordered_json& event) { return event["event"] == "checkpoint"; });
  return thinned(all, most);
}

}  // namespace

ordered_json short_number(double value) {
  return std::isfinite(value) ? ordered_json(std::stod(fmt::format("{:.5g}", value))) : ordered_json(nullptr);
}

std::string data_address(const std::string& type, const std::string& bytes) {
  static constexpr std::string_view letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text = fmt::format("data:{};base64,", type);
  text.reserve(text.size() + bytes.size() * 4 / 3 + 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = (group << 8U) | (j < n ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (size_t j = 0; j < 4; ++j)
      text += j <= n ? letters[(group >> (18U - 6U * static_cast<unsigned>(j))) & 63U] : '=';
  }
  return text;
}

ordered_json report_of_files(const fs::path& run, const ReportLimits& limits) {
  if (!fs::is_directory(run) || !fs::exists(run / "run.ini"))
    usage_error("{}: holds no run.ini; expected the folder of a run that elbo train has made, or of runs",
                run.string());
  const Metrics metrics = read_metrics(run);
  std::string model = "vae";
  ordered_json config = configuration(read_file(run / "run.ini"), (run / "run.ini").string(), model);
  ordered_json curves = ordered_json::object();
  for (const std::string& name : metrics.order) curves[name] = metrics.curves.at(name).json(limits.points);
  ordered_json json{{"name", printable(fs::absolute(run).lexically_normal().filename().string())},
                    {"directory", printable(fs::absolute(run).lexically_normal().string())},
                    {"model", model},
                    {"config", std::move(config)},
                    {"curves", std::move(curves)},
                    {"last", metrics.last},
                    {"kl", kl_over_time(metrics, limits)},
                    {"code_uses", metrics.code_uses},
                    {"samples", samples_over_time(sample_files(run, false), limits.image_bytes)},
                    {"reconstructions", samples_over_time(sample_files(run, true), limits.image_bytes / 2)},
                    {"events", read_events(run)},
                    {"notes", ordered_json::array()}};
  json["path"] = run.string();
  json["last_step"] = metrics.last_step;
  json["state"] = fmt::format("at step {}", metrics.last_step);
  if (fs::exists(run / "evaluation.json"))
    json["evaluation"] = ordered_json::parse(read_file(run / "evaluation.json"), nullptr, false);
  // An evaluation before the last step belongs to an earlier, shorter training.
  if (const auto found = json.find("evaluation"); found != json.end() && found->is_object())
    if (const ordered_json at = found->value("step", ordered_json());
        at.is_number_integer() && at >= metrics.last_step) {
      json["state"] = "finished";
      json["last_step"] = at;
    }
  return json;
}

}  // namespace elbo
