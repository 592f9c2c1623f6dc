#include "elbo/train/rank_times.h"

#include <fmt/format.h>

#include <algorithm>

namespace elbo {
namespace {

constexpr double much_slower = 1.25;
constexpr double nearly_always = 0.8;  // of the steps

}  // namespace

void RankTimes::add(const std::vector<RankSeconds>& ranks) {
  if (ranks.size() != sums_.size()) return;
  const auto [fastest, slowest] = std::ranges::minmax_element(ranks, {}, &RankSeconds::compute);
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    Sums& sums = sums_[rank];
    sums.compute += ranks[rank].compute;
    sums.data_wait = ranks[rank].data_wait;
    sums.late += ranks[rank].compute - fastest->compute;
    sums.early += slowest->compute - ranks[rank].compute;
  }
  ++sums_[static_cast<size_t>(slowest - ranks.begin())].slowest;
  ++steps_;
}

void RankTimes::reset() {
  for (Sums& sums : sums_) {
    const double waited = sums.data_wait;
    sums = {};
    sums.data_wait = sums.data_wait_before = waited;
  }
  steps_ = 0;
}

double RankTimes::data_wait() const {
  double most = 0;
  for (size_t rank = 0; rank < sums_.size(); ++rank) most = std::max(most, data_wait(rank));
  return most;
}

double RankTimes::ratio(int rank) const {
  std::vector<double> others;
  for (size_t other = 0; other < sums_.size(); ++other)
    if (static_cast<int>(other) != rank) others.push_back(sums_[other].compute);
  if (others.empty()) return 1;
  const auto middle = others.begin() + static_cast<std::ptrdiff_t>(others.size() / 2);
  std::ranges::nth_element(others, middle);
  return *middle > 0 ? sums_[static_cast<size_t>(rank)].compute / *middle : 1;
}

int RankTimes::slow_rank() const {
  if (sums_.size() < 2) return -1;
  const auto slowest = std::ranges::max_element(sums_, {}, &Sums::compute);
  const int rank = static_cast<int>(slowest - sums_.begin());
  const bool always = static_cast<double>(slowest->slowest) >= nearly_always * static_cast<double>(steps_);
  return always && ratio(rank) >= much_slower ? rank : -1;
}

std::string RankTimes::table() const {
  std::string lines =
      "rank\thost\tsteps\tcompute_s\tdata_wait_s\tafter_the_fastest_s\tbefore_the_slowest_s\tslowest_in\n";
  for (size_t rank = 0; rank < sums_.size(); ++rank) {
    const Sums& sums = sums_[rank];
    lines += fmt::format("{}\t{}\t{}\t{:.3f}\t{:.3f}\t{:.3f}\t{:.3f}\t{}\n", rank, places_[rank].host, steps_,
                         sums.compute, data_wait(rank), sums.late, sums.early, sums.slowest);
  }
  return lines;
}

}  // namespace elbo
