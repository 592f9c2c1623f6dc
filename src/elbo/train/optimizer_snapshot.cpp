#include "elbo/train/optimizer_snapshot.h"

#include <torch/types.h>

#include <algorithm>
#include <utility>

namespace elbo {
namespace {

// Rows of the first dimension; a tensor without dimensions is one.
int64_t rows_of(const std::vector<int64_t>& shape) { return shape.empty() ? 1 : shape.front(); }

int64_t total(const std::vector<IndexRange>& ranges) {
  int64_t elements = 0;
  for (const IndexRange& range : ranges) elements += range.size();
  return elements;
}

}  // namespace

OptimizerSnapshot::OptimizerSnapshot(Communicator& world, std::vector<ShardedState> states,
                                     int64_t piece_bytes)
    : world_(world), states_(std::move(states)) {
  const int64_t capacity = piece_bytes / static_cast<int64_t>(sizeof(float));
  int64_t room = 0;  // in the last piece
  for (size_t state = 0; state < states_.size(); ++state)
    for (const FlatParameters::Item& item : states_[state].items) {
      tensors_.push_back({item.name, item.shape});
      const int64_t rows = item.elements > 0 ? rows_of(item.shape) : 0;
      for (int64_t first = 0; first < rows;) {
        const int64_t row = item.elements / rows;
        if (room < row) {
          pieces_.emplace_back();
          room = std::max(capacity, row);
        }
        const int64_t count = std::min(room / row, rows - first);
        const int64_t begin = item.offset + first * row;
        add(state, {tensors_.size() - 1, first, count, {begin, begin + count * row}});
        room -= count * row;
        first += count;
      }
    }
}

void OptimizerSnapshot::add(size_t state, const Rows& rows) {
  Piece& piece = pieces_.back();
  if (piece.empty() || piece.back().state != state) piece.push_back({state, {}});
  piece.back().rows.push_back(rows);
}

std::vector<IndexRange> OptimizerSnapshot::parts(const Buckets& buckets, int rank,
                                                 IndexRange elements) const {
  std::vector<IndexRange> found;
  if (buckets.replicated() && rank > 0) return found;
  const auto [first, end] = buckets.overlapping(elements);
  for (size_t bucket = first; bucket < end; ++bucket) {
    const IndexRange shard = buckets.shard(bucket, rank);
    const IndexRange part{std::max(shard.first, elements.first), std::min(shard.end, elements.end)};
    if (part.size() > 0) found.push_back(part);
  }
  return found;
}

torch::Tensor OptimizerSnapshot::own(const ShardedState& state, IndexRange elements) const {
  const Buckets& buckets = *state.buckets;
  std::vector<torch::Tensor> values{torch::empty({0}, state.shard.options())};
  int64_t begin = 0;  // of the bucket's shard in state.shard
  const std::vector<IndexRange> wanted = parts(buckets, world_.rank(), elements);
  auto part = wanted.begin();
  for (size_t bucket = 0; bucket < buckets.count() && part != wanted.end(); ++bucket) {
    const IndexRange shard = buckets.shard(bucket, world_.rank());
    if (shard.overlaps(*part)) {
      values.push_back(state.shard.narrow(0, begin + part->first - shard.first, part->size()));
      ++part;
    }
    begin += shard.size();
  }
  return torch::cat(values);
}

torch::Tensor OptimizerSnapshot::gather(const ShardedState& state, IndexRange elements) const {
  std::vector<int64_t> counts(static_cast<size_t>(world_.size()));
  for (int rank = 0; rank < world_.size(); ++rank)
    counts[static_cast<size_t>(rank)] = total(parts(*state.buckets, rank, elements));
  const torch::Tensor received = elbo::gather(world_, own(state, elements), counts, 0);
  if (world_.rank() != 0) return {};
  torch::Tensor whole = torch::empty({elements.size()}, received.options());
  int64_t next = 0;
  for (int rank = 0; rank < world_.size(); ++rank)
    for (const IndexRange& part : parts(*state.buckets, rank, elements)) {
      whole.narrow(0, part.first - elements.first, part.size()).copy_(received.narrow(0, next, part.size()));
      next += part.size();
    }
  return whole;
}

std::vector<TensorRows> OptimizerSnapshot::gather(size_t piece) const {
  const torch::NoGradGuard no_grad;
  std::vector<TensorRows> rows;
  for (const Segment& segment : pieces_[piece]) {
    const IndexRange elements = segment.elements();
    const torch::Tensor whole = gather(states_[segment.state], elements);
    if (world_.rank() != 0) continue;
    for (const Rows& part : segment.rows) {
      std::vector<int64_t> shape = tensors_[part.tensor].sizes;
      if (!shape.empty()) shape.front() = part.count;
      rows.push_back(
          {part.tensor, part.first,
           whole.narrow(0, part.elements.first - elements.first, part.elements.size()).view(shape)});
    }
  }
  return rows;
}

}  // namespace elbo
