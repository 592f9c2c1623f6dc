// Hands the pieces of a checkpoint to the thread that writes them, one at a time. Thread-safe.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <vector>

#include "elbo/run/checkpoint.h"

namespace elbo {

class PieceQueue {
 public:
  using Piece = std::vector<TensorRows>;
  explicit PieceQueue(size_t pieces) : pieces_(pieces), left_(pieces) {}
  size_t pieces() const { return pieces_; }  // of the checkpoint

  // For the training thread.
  bool wants_piece() const;  // the writer would have to wait for the next
  // Returns after a moment, or once a piece is wanted or the writer has ended.
  void wait_a_moment() const;
  void put(Piece piece);  // dropped where the writer has ended
  void give_up();         // no more pieces come, though some are missing
  bool ended() const;     // the writer has

  // For the writer's thread.
  Piece take();  // waits; throws Error after give_up()
  void end();
  double waited_seconds() const;  // in take()

 private:
  bool wanted() const { return !ended_ && !given_up_ && !piece_ && left_ > 0; }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::optional<Piece> piece_;
  const size_t pieces_;
  size_t left_;  // that were not put yet
  bool given_up_ = false, ended_ = false;
  std::chrono::duration<double> waited_{0};
};

}  // namespace elbo
