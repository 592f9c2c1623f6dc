#include "elbo/parallel/levels.h"

#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace elbo {

std::vector<int> Levels::sizes() const {
  std::vector<int> sizes;
  sizes.reserve(comms_.size());
  for (const Communicator* comm : comms_) sizes.push_back(comm->size());
  return sizes;
}

int Levels::place(int rank, size_t level) const {
  for (size_t inner = 0; inner < level; ++inner) rank /= comms_[inner]->size();
  return rank % comms_[level]->size();
}

std::vector<int> Levels::order() const {
  std::vector<int> ranks(static_cast<size_t>(size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  std::ranges::stable_sort(ranks, {}, [&](int rank) {
    std::vector<int> places;
    places.reserve(count());
    for (size_t level = 0; level < count(); ++level) places.push_back(place(rank, level));
    return places;
  });
  return ranks;
}

void Levels::all_gather(torch::Tensor all, const std::vector<int64_t>& counts) const {
  LevelGather gather(*this, std::move(all), counts);
  while (!gather.last()) gather.next();
  gather.wait();
}

LevelGather::LevelGather(const Levels& levels, torch::Tensor all, std::vector<int64_t> counts)
    : levels_(levels), all_(std::move(all)), counts_(std::move(counts)), level_(levels.count() - 1) {
  start();
}

void LevelGather::next() {
  work_->wait();
  --level_;
  start();
}

// The ranks of this rank's communicator of the level have, together with the inner ranks that they gather
// for, one range of `all`: it begins after the ranks that inner levels put before this one.
void LevelGather::start() {
  Communicator& comm = levels_[level_];
  std::vector<int64_t> pieces(static_cast<size_t>(comm.size()), 0);
  int64_t first = 0;
  for (int rank = 0; rank < levels_.size(); ++rank) {
    size_t level = 0;
    while (level < level_ && levels_.place(rank, level) == levels_.place(levels_.rank(), level)) ++level;
    const int64_t count = counts_[static_cast<size_t>(rank)];
    if (level == level_) {
      pieces[static_cast<size_t>(levels_.place(rank, level))] += count;
    } else if (levels_.place(rank, level) < levels_.place(levels_.rank(), level)) {
      first += count;
    }
  }
  const int64_t elements = std::accumulate(pieces.begin(), pieces.end(), int64_t{0});
  work_ = comm.start_all_gather(all_.narrow(0, first, elements), pieces);
}

}  // namespace elbo
