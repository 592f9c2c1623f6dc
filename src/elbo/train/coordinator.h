// What rank 0 does besides its share of the work: metrics, progress, which checkpoints stay, which is best.
// On the other ranks a coordinator takes the same decisions, which follow from figures that all ranks have,
// and writes nothing.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "elbo/comm/cuda_library.h"
#include "elbo/eval/evaluate.h"
#include "elbo/parallel/gradient_reducer.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"

namespace elbo {

// Where the seconds of a step went.
struct StepSeconds {
  double compute = 0;     // leaves; of the rank that took longest, whom the others wait for
  int slowest_rank = 0;   // which one that was, in the last phase
  double rank_0 = 0;      // of rank 0
  double fastest = 0;     // of the rank that was done first
  double overlapped = 0;  // of `compute`, since the first gradients went on their way
  double exchange = 0;    // sums of gradients and scalars over ranks, what is left of it when rank 0 has
                          // computed; with what it waits for others
  double update = 0;      // of this rank's slice
  double all_gather_parameters = 0;     // the updated slices to all ranks; rank 0's
};

// One optimiser step, as all ranks know it.
struct StepReport {
  double loss = 0;                                    // nats per sample
  std::vector<std::pair<std::string, double>> terms;  // nats per sample
  double gradient_norm = 0;
  int phases = 0;  // that took part
  double lr = 0;
  bool finite = true;    // loss and gradient are finite
  bool stop = false;     // some rank was asked to stop
  bool save = false;     // the time for a checkpoint has come
  double data_wait = 0;  // seconds that workers waited for data since the start, the worst rank's
  StepSeconds seconds;
  std::optional<DeviceMemory> memory;  // of rank 0's GPU
};

class Coordinator {
 public:
  // rows: of the training split. Rank 0 opens metrics.jsonl, cut back to `first_step` on a resume, and to
  // before its evaluation where that comes again.
  Coordinator(const RunConfig& config, bool is_root, int64_t rows, int64_t first_step, int64_t end_step,
              bool evaluates_again);

  bool evaluation_due(int64_t done) const;  // done: steps completed
  bool checkpoint_due(int64_t done) const;  // by steps; by time only `wants_checkpoint` tells, on rank 0
  bool wants_checkpoint() const;

  void after_step(int64_t done, const StepReport& report);
  // Whether this is the best so far; only the validation split decides that.
  bool after_evaluation(int64_t done, const Evaluation& evaluation);
  void after_checkpoint(int64_t done, bool best);  // retention; the link best.h5

  std::optional<double> best_loss() const { return best_loss_; }
  int64_t best_step() const { return best_step_; }
  void restore_best(std::optional<double> loss, int64_t step);

 private:
  using Clock = std::chrono::steady_clock;
  void write_line(const std::string& line);
  double seconds() const;

  const RunConfig& config_;
  bool is_root_;
  int64_t rows_, first_step_, end_step_;
  std::filesystem::path directory_;
  std::ofstream metrics_;
  Clock::time_point start_ = Clock::now(), last_line_ = start_, last_checkpoint_ = start_;
  int64_t last_line_step_;
  double shown_loss_ = 0;  // running mean, for the eye only
  std::optional<double> best_loss_;
  int64_t best_step_ = 0;
};

}  // namespace elbo
