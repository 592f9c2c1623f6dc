#include "elbo/commands/evaluate_measures.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/eval/map_rows.h"

namespace elbo {
namespace {

struct NamedMeasure {
  std::string_view name;
  std::unique_ptr<Measure> (*make)(const MeasureOptions&, const MeasuredRun&);
  bool only_by_name = false;  // auto leaves it out: it takes long
};

constexpr std::array<NamedMeasure, 8> all_measures{{{"ais", measure_of_annealing, true},
                                                    {"anomalies", measure_of_anomalies},
                                                    {"classes", measure_of_classes},
                                                    {"factors", measure_of_factors},
                                                    {"information", measure_of_information},
                                                    {"samples", measure_of_samples},
                                                    {"similarity", measure_of_similarity},
                                                    {"texts", measure_of_texts}}};

}  // namespace

void MeasureOptions::bind(OptionTable& table) {
  table.add(
      "metrics", metrics,
      "what is measured besides losses: auto, none, or some of ais, anomalies, classes, factors, "
      "information, samples, similarity and texts with commas between; auto: what the data allow, but for "
      "ais; empty: evaluate.metrics of the run");
  table.add(
      "anomaly", anomaly,
      "anomalies: the class, by its name or number, whose rows are the anomalies; auto: if the rows have two "
      "classes, the one that training rows lack a name for, or the one with the higher number");
  table.add_path(
      "features", features,
      "samples: the features by which samples are compared with rows: pixels, or the folder of a run "
      "whose codes are the features");
  table.add("fitted_rows", fitted_rows,
            "classes, samples: training rows at most whose codes classifiers and a sampler are fitted to",
            Range::between(1, 1e9));
  table.add(
      "samples", samples,
      "samples: at most as many are compared with as many rows; distances depend on it; texts: as many are "
      "drawn",
      Range::between(10, 1e6));
  table.add(
      "validity", validity,
      "texts: a command, run in a shell, that reads drawn texts, one in a line, and prints a line for each: "
      "empty where the text is not valid, else its canonical form, or the text itself");
  table.add("ais_rows", ais_rows, "ais: rows at most whose log p(x) is estimated, at equal distances",
            Range::between(1, 1e9));
  table.add("ais_chains", ais_chains, "ais: chains of codes of each row", Range::between(1, 1e4));
  table.add(
      "ais_temperatures", ais_temperatures,
      "ais: steps of a chain from the prior to the posterior; the estimate rises towards log p(x) with it",
      Range::between(1, 1e7));
  sampler.bind(table);
}

torch::Tensor MeasuredRun::collect(int64_t rows, int64_t width, const ValuesOfRows& of) const {
  std::vector<torch::Tensor> parts{torch::empty({0, width})};
  map_rows(
      *used.world, workers, rows, how.microbatch, {{"values", {width}}},
      [&](int worker, int64_t microbatch, int64_t first, int64_t end) {
        return std::vector{of(worker, microbatch, first, end)};
      },
      [&](int64_t, const std::vector<torch::Tensor>& outputs) { parts.push_back(outputs.front()); });
  return torch::cat(parts);
}

torch::Tensor MeasuredRun::codes(const std::string& split, const std::vector<int64_t>& ids) const {
  return collect(std::ssize(ids), used.run.model->latent_size(),
                 [&](int worker, int64_t, int64_t first, int64_t end) {
                   return model(worker).encode(used.run.rows(split, part_of(ids, first, end))).z;
                 });
}

nlohmann::ordered_json measure(const MeasureOptions& options, const MeasuredRun& measured) {
  const bool of_run = options.metrics.empty();
  const std::string& text = of_run ? measured.used.run.config->evaluate.metrics : options.metrics;
  const std::string option = of_run ? "evaluate.metrics" : "--metrics";
  const std::vector<std::string> asked = named_measures(option, text);
  const torch::NoGradGuard no_grad;
  nlohmann::ordered_json results = nlohmann::ordered_json::object();
  for (const NamedMeasure& named : all_measures) {
    const bool by_name = std::ranges::find(asked, named.name) != asked.end();
    if (!by_name && (text != "auto" || named.only_by_name)) continue;
    const std::unique_ptr<Measure> measure = named.make(options, measured);
    if (const std::string why = measure->refusal(); !why.empty()) {
      if (by_name) usage_error("{}={}: {} cannot be measured: {}", option, text, named.name, why);
      continue;
    }
    if (nlohmann::ordered_json result = measure->result(); measured.used.is_root())
      results[std::string(named.name)] = std::move(result);
  }
  if (options.sampler.sampler != "prior" && measured.used.is_root() && !results.contains("samples") &&
      !results.contains("texts"))
    usage_error(
        "--sampler={}: has an effect on the measures samples and texts only, which are not measured here; "
        "expected --metrics=samples, of images, or --metrics=texts",
        options.sampler.sampler);
  return results;
}

std::vector<int64_t> all_ids(int64_t count) {
  std::vector<int64_t> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

std::vector<int64_t> spread_ids(int64_t rows, int64_t most) {
  std::vector<int64_t> ids = all_ids(std::min(rows, most));
  const int64_t count = std::ssize(ids);
  for (int64_t& id : ids) id = id * rows / count;
  return ids;
}

std::vector<int64_t> part_of(const std::vector<int64_t>& ids, int64_t first, int64_t end) {
  return {ids.begin() + first, ids.begin() + end};
}

torch::Tensor classes_of(const RowSource& rows, const std::vector<int64_t>& ids) {
  constexpr int64_t at_once = 4096;
  std::vector<torch::Tensor> classes;
  for (int64_t first = 0; first < std::ssize(ids); first += at_once) {
    const torch::Tensor label =
        rows.read(part_of(ids, first, std::min(first + at_once, std::ssize(ids)))).label;
    if (!label.defined() || label.scalar_type() != torch::kInt64 || label.dim() != 1) return {};
    classes.push_back(label);
  }
  return torch::cat(classes);
}

}  // namespace elbo
