// RUN/events.out.tfevents.*: what metrics.jsonl has, and samples, for TensorBoard. A file that cannot be
// written is a warning and ends nothing.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/append_file.h"
#include "elbo/eval/evaluate.h"
#include "elbo/run/checkpoint.h"
#include "elbo/train/data_parallel_step.h"

namespace elbo {

class TensorBoard {
 public:
  // Removes the events of steps that a run from `start` takes again, and begins another file, as a program
  // that reads the folder at the same time expects.
  // Of the steps up to `end_step`, at most 2,000 are written.
  TensorBoard(std::filesystem::path run_directory, const Progress& start, int64_t end_step);

  // step: updates that were made.
  void after_step(int64_t step, const StepReport& report, double samples_per_s);
  void after_evaluation(int64_t step, const Evaluation& evaluation);
  // files: .png, .wav and .txt, shown under their kind: "samples", "reconstructions".
  void after_samples(int64_t step, const std::vector<std::filesystem::path>& files);
  void go_back(const Progress& start);
  void finish();  // warns where events are still not written

 private:
  void open(const Progress& start);
  void write(const std::string& record);
  void report(const std::string& why);

  std::filesystem::path directory_;
  int64_t end_step_, every_;          // steps between those that are written
  std::unique_ptr<AppendFile> file_;  // null where it cannot be opened
  bool complete_ = true;              // no event waits
};

}  // namespace elbo
