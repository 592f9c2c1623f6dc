#include "elbo/train/piece_queue.h"

#include <utility>

#include "elbo/base/error.h"

namespace elbo {

bool PieceQueue::wants_piece() const {
  const std::lock_guard lock(mutex_);
  return wanted();
}

void PieceQueue::wait_a_moment() const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(200), [&] { return wanted() || ended_; });
}

void PieceQueue::put(Piece piece) {
  const std::lock_guard lock(mutex_);
  --left_;
  if (!ended_) piece_ = std::move(piece);
  changed_.notify_all();
}

void PieceQueue::give_up() {
  const std::lock_guard lock(mutex_);
  given_up_ = true;
  changed_.notify_all();
}

bool PieceQueue::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

PieceQueue::Piece PieceQueue::take() {
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return piece_ || given_up_; });
  waited_ += std::chrono::steady_clock::now() - start;
  if (!piece_) fail("the checkpoint is not complete: training ended before all of it was handed over");
  Piece piece = std::move(*piece_);
  piece_.reset();
  changed_.notify_all();
  return piece;
}

void PieceQueue::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  piece_.reset();
  changed_.notify_all();
}

double PieceQueue::waited_seconds() const {
  const std::lock_guard lock(mutex_);
  return waited_.count();
}

}  // namespace elbo
