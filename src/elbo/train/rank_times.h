// What each rank did with the time of the steps, so that a slow host can be found.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace elbo {

// The seconds of one rank in one step.
struct RankSeconds {
  double compute = 0;    // microbatches, waiting for their data included
  double data_wait = 0;  // of its workers together, since the start of the job
};

struct RankPlace {
  std::string host;
  int workers = 1;
};

// Sums over steps.
class RankTimes {
 public:
  explicit RankTimes(std::vector<RankPlace> places) : places_(std::move(places)), sums_(places_.size()) {}

  void add(const std::vector<RankSeconds>& ranks);  // one step, an item for each rank
  void reset();                                     // begins a new window

  int64_t steps() const { return steps_; }
  // The rank that computed longest in nearly all steps, where it took much longer than most; -1: none.
  int slow_rank() const;
  // Seconds that it computed, divided by those of the median rank; of two ranks, by those of the other.
  double ratio(int rank) const;
  const std::string& host(int rank) const { return places_[static_cast<size_t>(rank)].host; }
  // Seconds that a worker has waited for data, of the rank where that is most.
  double data_wait() const;

  // A line for each rank, with columns separated by tabs: rank, host, steps, seconds that it computed, that
  // each of its workers waited for data, that it finished after the fastest rank, that it waited for the
  // slowest, and the steps in which it was the slowest.
  std::string table() const;

 private:
  struct Sums {
    double compute = 0, late = 0, early = 0;
    double data_wait = 0, data_wait_before = 0;  // since the start of the job, and of the window
    int64_t slowest = 0;
  };
  double data_wait(size_t rank) const {
    return (sums_[rank].data_wait - sums_[rank].data_wait_before) / places_[rank].workers;
  }

  std::vector<RankPlace> places_;  // of each rank
  std::vector<Sums> sums_;
  int64_t steps_ = 0;
};

}  // namespace elbo
