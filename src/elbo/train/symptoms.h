// What training shows while its numbers are still finite: a latent code that carries nothing, a codebook that
// is hardly used, workers that wait for data, a rank that is slower than the others. Each is a warning with a
// remedy, once in a run.
#pragma once
#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "elbo/eval/evaluate.h"
#include "elbo/train/rank_times.h"

namespace elbo {

class Symptoms {
 public:
  explicit Symptoms(RankTimes ranks) : ranks_(std::move(ranks)) {}

  // After each step, with the seconds of each rank.
  void after_step(int64_t step, const std::vector<RankSeconds>& ranks);
  void after_evaluation(int64_t step, const Evaluation& evaluation);

 private:
  using Clock = std::chrono::steady_clock;
  void look_at_data(int64_t step, double share);
  void look_at_ranks(int64_t step);
  void warn(const std::string& symptom, const std::string& message);  // the first time

  RankTimes ranks_;  // of a window of steps
  int64_t windows_ = 0;
  std::set<std::string> told_;
  Clock::time_point window_began_ = Clock::now();
};

}  // namespace elbo
