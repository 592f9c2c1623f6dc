// metrics.jsonl, events for TensorBoard, and the progress line. On ranks other than the root it does nothing.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "elbo/base/append_file.h"
#include "elbo/eval/evaluate.h"
#include "elbo/run/run_plan.h"
#include "elbo/train/data_parallel_step.h"
#include "elbo/train/tensorboard.h"

namespace elbo {

class MetricsWriter {
 public:
  // Opens RUN/metrics.jsonl, cut back to the step that the run continues from, and to before that step's
  // evaluation where it is repeated. `plan` outlives the object.
  // places: of each rank.
  MetricsWriter(const RunPlan& plan, bool is_root, const std::vector<RankPlace>& places);

  // step: updates that were made. A line that cannot be written is a warning, and is written later.
  void after_step(int64_t step, const StepReport& report);
  void after_evaluation(int64_t step, const Evaluation& evaluation, bool is_best);
  // files: samples of the model, which RUN/samples has.
  void after_samples(int64_t step, const std::vector<std::filesystem::path>& files);
  // Cuts the files back as if the run had been resumed from `start`.
  void go_back(const Progress& start);
  void finish();  // throws Error where lines are still not written

 private:
  using Clock = std::chrono::steady_clock;
  void write_line(const std::string& line);
  void show_progress(int64_t step, const StepReport& report);
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  const RunPlan& plan_;
  std::optional<AppendFile> file_;  // the root's
  std::optional<TensorBoard> tensorboard_;
  bool complete_ = true;  // no line waits
  Clock::time_point start_ = Clock::now(), last_line_ = start_;
  int64_t last_line_step_;
  // Of the progress line only: moving averages of the loss and its terms, and the phase whose they are.
  std::vector<std::pair<std::string, double>> shown_;
  std::string shown_phase_;
  RankTimes ranks_;
};

}  // namespace elbo
