// The rows of another source after a transform, as the networks see them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "elbo/data/check_values.h"
#include "elbo/data/row_source.h"
#include "elbo/data/transform.h"

namespace elbo {

class TransformedRows final : public RowSource {
 public:
  // Reading throws a usage Error that names the row for a transformed value that breaks the rule, or for one
  // of which the transform is not defined.
  TransformedRows(std::shared_ptr<const RowSource> rows, Transform transform, ValueRule rule);
  int64_t rows() const override { return rows_->rows(); }
  int64_t rows_per_chunk() const override { return rows_->rows_per_chunk(); }
  int64_t bytes_per_row() const override { return rows_->bytes_per_row(); }
  Batch read(const std::vector<int64_t>& ids) const override;
  void read_all() const override;
  std::string access_method() const override { return rows_->access_method(); }
  std::string place_of(int64_t id) const override { return rows_->place_of(id); }
  RowIdentity identity(int64_t id) const override { return rows_->identity(id); }

 private:
  void require(const Batch& batch, const ValueRule& rule) const;
  [[noreturn]] void reject(const Batch& batch, int64_t row, Support support, float value,
                           const ValueRule& rule) const;

  std::shared_ptr<const RowSource> rows_;
  Transform transform_;
  ValueRule rule_;
};

}  // namespace elbo
