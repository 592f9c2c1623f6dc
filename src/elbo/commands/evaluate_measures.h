// What `elbo evaluate` measures besides losses, where the data allow it: how well scores find anomalies, how
// much of the classes and of the factors of variation is in the codes, how near samples are to rows, how many
// texts are valid.
// docs/metrics.md has the definitions. Each measure is a file commands/evaluate_*.cpp; evaluate_measures.cpp
// has their table.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/commands/samplers.h"
#include "elbo/commands/saved_run_command.h"
#include "elbo/eval/evaluate.h"
#include "elbo/models/model.h"
#include "elbo/parallel/workers.h"

namespace elbo {

struct MeasureOptions {
  std::string metrics;              // auto, none or names; "": evaluate.metrics of the run
  std::string anomaly = "auto";     // the class whose rows are anomalies
  std::string features = "pixels";  // of images: pixels, or the folder of a run whose codes they are
  int64_t fitted_rows = 50000;      // training rows that classifiers of codes see, at most
  int64_t samples = 5000;           // that are compared with as many rows, or judged as texts
  std::string validity;             // texts: the command that judges them
  int64_t ais_rows = 100, ais_chains = 16, ais_temperatures = 500;
  SamplerOptions sampler;  // that the samples come from
  void bind(OptionTable& table);
};

// A run that is measured, with a replica of its model for each worker.
struct MeasuredRun {
  const RunInUse& used;
  Workers& workers;
  const std::vector<std::shared_ptr<Model>>& models;
  const EvaluationOptions& how;

  Model& model(int worker) const { return *models[static_cast<size_t>(worker)]; }
  // Values (rows, width) on rank 0, (0, width) on the others; `of` gives those of the rows first … end-1 of a
  // microbatch. Collective.
  using ValuesOfRows =
      std::function<torch::Tensor(int worker, int64_t microbatch, int64_t first, int64_t end)>;
  torch::Tensor collect(int64_t rows, int64_t width, const ValuesOfRows& of) const;
  // The codes (ids, latent) of rows, in the same way.
  torch::Tensor codes(const std::string& split, const std::vector<int64_t>& ids) const;
};

class Measure {
 public:
  virtual ~Measure() = default;
  // Why the data do not allow it; "" if they do. Collective; the same on every rank.
  virtual std::string refusal() = 0;
  // Only of rank 0 is the result used. Collective.
  virtual nlohmann::ordered_json result() = 0;
};

std::unique_ptr<Measure> measure_of_annealing(const MeasureOptions& options, const MeasuredRun& measured);
std::unique_ptr<Measure> measure_of_anomalies(const MeasureOptions& options, const MeasuredRun& measured);
std::unique_ptr<Measure> measure_of_classes(const MeasureOptions& options, const MeasuredRun& measured);
std::unique_ptr<Measure> measure_of_factors(const MeasureOptions& options, const MeasuredRun& measured);
std::unique_ptr<Measure> measure_of_information(const MeasureOptions& options, const MeasuredRun& measured);
std::unique_ptr<Measure> measure_of_samples(const MeasureOptions& options, const MeasuredRun& measured);
std::unique_ptr<Measure> measure_of_similarity(const MeasureOptions& options, const MeasuredRun& measured);
std::unique_ptr<Measure> measure_of_texts(const MeasureOptions& options, const MeasuredRun& measured);

// An object with the result of each measure, by its name; empty on the ranks other than 0. Throws a usage
// Error for a measure that is asked for by name and that the data do not allow. Collective.
nlohmann::ordered_json measure(const MeasureOptions& options, const MeasuredRun& measured);

// 0 … count-1, and at most `most` of 0 … rows-1 at equal distances, as rows may be sorted by class.
std::vector<int64_t> all_ids(int64_t count);
std::vector<int64_t> spread_ids(int64_t rows, int64_t most);
std::vector<int64_t> part_of(const std::vector<int64_t>& ids, int64_t first, int64_t end);
// Classes of rows (ids) int64; undefined if they have none.
torch::Tensor classes_of(const RowSource& rows, const std::vector<int64_t>& ids);

}  // namespace elbo
