// What happened to a run besides its steps: RUN/events.jsonl, and the hooks. The file keeps every start, also
// of steps that were taken again. On ranks other than the root it does nothing.
#pragma once
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "elbo/base/append_file.h"
#include "elbo/eval/evaluate.h"
#include "elbo/run/run_plan.h"
#include "elbo/train/hooks.h"

namespace elbo {

// How a run, or this part of it, ended.
struct RunEnd {
  int64_t step = 0;
  std::string how;          // finished | early_stopping | stopped | failed
  std::string fingerprint;  // "" where it failed
  std::string error{};      // why it failed
};

// Thread-safe. A file that cannot be written is a warning.
class RunEvents {
 public:
  // Records that the run begins or continues. `plan` outlives the object.
  RunEvents(const RunPlan& plan, bool is_root);

  void after_evaluation(int64_t step, const Evaluation& evaluation, bool is_best);
  void after_checkpoint(int64_t step, bool is_best);
  void after_skip(int64_t step);  // a step whose loss or gradient is not finite
  void go_back(int64_t from, int64_t to, const std::string& why);
  void change_lr(int64_t step, double lr, const std::string& why);
  void end(const RunEnd& end);

 private:
  void write(const std::string& line);

  const RunPlan& plan_;
  std::mutex mutex_;
  std::optional<AppendFile> file_;  // the root's
  bool complete_ = true;
  std::optional<Hooks> hooks_;
};

}  // namespace elbo
