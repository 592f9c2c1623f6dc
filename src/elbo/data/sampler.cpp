#include "elbo/data/sampler.h"

#include <algorithm>
#include <utility>

namespace elbo {
namespace {

int64_t permute(int64_t n, Key key, int64_t i) {
  return static_cast<int64_t>(Permutation(static_cast<uint64_t>(n), key)(static_cast<uint64_t>(i)));
}

}  // namespace

Sampler::Sampler(int64_t rows, int64_t rows_per_chunk, int64_t rows_per_window, Key key, bool shuffle,
                 std::shared_ptr<const WeightedRows> weights)
    : rows_(rows),
      rows_per_chunk_(rows_per_chunk),
      chunks_(rows / rows_per_chunk),
      chunks_per_window_(std::max<int64_t>(1, rows_per_window / rows_per_chunk)),
      one_window_(rows <= rows_per_window || chunks_ <= 1),
      key_(key.with("order")),
      shuffle_(shuffle),
      weights_(std::move(weights)) {}

int64_t Sampler::row_at(int64_t position) const {
  const int64_t index = position % rows_;
  if (!shuffle_ && !weights_) return index;
  const Key epoch = key_.with(static_cast<uint64_t>(epoch_of(position)));
  const int64_t row = shuffled(index, epoch);
  return weights_ ? weights_->row_of(row, epoch) : row;
}

int64_t Sampler::shuffled(int64_t index, Key epoch) const {
  if (!shuffle_) return index;
  return one_window_ ? permute(rows_, epoch, index) : row_in_windows(index, epoch);
}

int64_t Sampler::row_in_windows(int64_t index, Key epoch) const {
  const int64_t tail = rows_ - chunks_ * rows_per_chunk_;  // rows after the last whole chunk
  const int64_t windows = (chunks_ + chunks_per_window_ - 1) / chunks_per_window_;
  const int64_t rows_per_window = chunks_per_window_ * rows_per_chunk_;
  const auto tail_window = static_cast<int64_t>(epoch.with("tail").value() % static_cast<uint64_t>(windows));

  // Windows begin at multiples of rows_per_window; those after the tail's begin `tail` rows later.
  int64_t window = index / rows_per_window;
  if (window > tail_window) window = std::max(tail_window, (index - tail) / rows_per_window);
  window = std::min(window, windows - 1);
  const int64_t start = window * rows_per_window + (window > tail_window ? tail : 0);

  const int64_t first_chunk = window * chunks_per_window_;
  const int64_t whole = (std::min(first_chunk + chunks_per_window_, chunks_) - first_chunk) * rows_per_chunk_;
  const int64_t rows = whole + (window == tail_window ? tail : 0);
  const int64_t row = permute(rows, epoch.with("window").with(static_cast<uint64_t>(window)), index - start);
  if (row >= whole) return chunks_ * rows_per_chunk_ + (row - whole);
  const int64_t chunk = permute(chunks_, epoch.with("chunks"), first_chunk + row / rows_per_chunk_);
  return chunk * rows_per_chunk_ + row % rows_per_chunk_;
}

}  // namespace elbo
