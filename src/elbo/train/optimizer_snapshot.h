// The optimizer states of one step, copied by the ranks that own them and sent to rank 0 in pieces while
// training continues: no rank ever holds all of them (ZeRO stage 1, Rajbhandari et al. 2020).
#pragma once
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/comm/communicator.h"
#include "elbo/parallel/buckets.h"
#include "elbo/parallel/flat_parameters.h"
#include "elbo/run/checkpoint.h"

namespace elbo {

// One state of a phase, such as exp_avg.
struct ShardedState {
  std::vector<FlatParameters::Item>
      items;               // of the phase, ascending, with the names that a checkpoint gives them
  torch::Tensor shard;     // this rank's shards of all buckets, end to end, in host memory; not changed later
  const Buckets* buckets;  // of the phase
};

class OptimizerSnapshot {
 public:
  static constexpr int64_t default_piece_bytes = int64_t{32} * 1024 * 1024;

  // A piece is at most so large, or one row of a tensor. The communicator and the buckets outlive the object.
  OptimizerSnapshot(Communicator& world, std::vector<ShardedState> states,
                    int64_t piece_bytes = default_piece_bytes);

  const std::vector<TensorShape>& tensors() const { return tensors_; }
  size_t pieces() const { return pieces_.size(); }

  // The rows of a piece, on rank 0; nothing on the others. The pieces in order have every row of every
  // tensor, in order. Collective.
  std::vector<TensorRows> gather(size_t piece) const;

 private:
  struct Rows {
    size_t tensor;  // its number among all
    int64_t first, count;
    IndexRange elements;  // of the flat parameters
  };
  // Consecutive rows of a state. There may be padding between tensors.
  struct Segment {
    size_t state;
    std::vector<Rows> rows;
    IndexRange elements() const { return {rows.front().elements.first, rows.back().elements.end}; }
  };
  using Piece = std::vector<Segment>;

  void add(size_t state, const Rows& rows);
  // What a rank has of the elements, in the order of its shards.
  std::vector<IndexRange> parts(const Buckets& buckets, int rank, IndexRange elements) const;
  torch::Tensor own(const ShardedState& state, IndexRange elements) const;
  torch::Tensor gather(const ShardedState& state, IndexRange elements) const;  // on rank 0

  Communicator& world_;
  std::vector<ShardedState> states_;
  std::vector<TensorShape> tensors_;
  std::vector<Piece> pieces_;
};

}  // namespace elbo
