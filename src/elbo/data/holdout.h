// A validation split taken out of the training rows of a file that has none of its own.
#pragma once
#include <cstdint>
#include <memory>

#include "elbo/data/dataset.h"

namespace elbo {

// Of every hundred consecutive rows a fixed number, chosen by key, is held out: rows stay near their
// neighbours in the file, and which are held out depends on nothing but their number. Views of one source.
class Holdout final : public RowSource {
 public:
  enum class Part { training, validation };
  // percent: 1 … 90, rows of a hundred that are held out.
  Holdout(std::shared_ptr<const RowSource> all, int64_t percent, Part part);
  int64_t rows() const override { return rows_; }
  int64_t rows_per_chunk() const override;
  int64_t bytes_per_row() const override { return all_->bytes_per_row(); }
  Batch read(const std::vector<int64_t>& ids) const override;  // its ids are those of this part
  void read_all() const override { all_->read_all(); }
  std::string access_method() const override { return all_->access_method(); }

  int64_t row_of(int64_t id) const;  // in the source

 private:
  // How many of `rows` consecutive rows, at most a hundred, belong to this part.
  int64_t count_of(int64_t rows) const;

  std::shared_ptr<const RowSource> all_;
  int64_t percent_;
  Part part_;
  int64_t rows_;
};

}  // namespace elbo
