// A validation split held out of the training rows, for files without one.
#pragma once
#include <cstdint>
#include <memory>

#include "elbo/data/row_source.h"

namespace elbo {

// A view of one of the two parts. Of every hundred consecutive rows, `percent` are held out, chosen by a
// keyed permutation: the choice depends on the row's number only, and rows stay near their neighbours in the
// file.
class Holdout final : public RowSource {
 public:
  enum class Part { training, validation };
  // percent: 1 … 90.
  Holdout(std::shared_ptr<const RowSource> all, int64_t percent, Part part);
  int64_t rows() const override { return rows_; }
  int64_t rows_per_chunk() const override;
  int64_t bytes_per_row() const override { return all_->bytes_per_row(); }
  Batch read(const std::vector<int64_t>& ids) const override;  // ids: row numbers in this part
  void read_all() const override { all_->read_all(); }
  std::string access_method() const override { return all_->access_method(); }
  std::string place_of(int64_t id) const override { return all_->place_of(row_of(id)); }
  RowIdentity identity(int64_t id) const override { return all_->identity(row_of(id)); }

  int64_t row_of(int64_t id) const;  // the row number in the source

 private:
  // How many of a group of up to a hundred consecutive rows belong to this part.
  int64_t count_of(int64_t rows) const;

  std::shared_ptr<const RowSource> all_;
  int64_t percent_;
  Part part_;
  int64_t rows_;
};

}  // namespace elbo
