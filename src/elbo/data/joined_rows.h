// The concatenated rows of several sources, e.g. of the files of a data set.
#pragma once
#include <memory>
#include <vector>

#include "elbo/data/row_source.h"

namespace elbo {

class JoinedRows final : public RowSource {
 public:
  // parts: at least one; their rows have the same shape.
  explicit JoinedRows(std::vector<std::shared_ptr<const RowSource>> parts);
  int64_t rows() const override { return first_.back(); }
  // The largest of the parts. A chunk that crosses a file boundary costs a chunk of each file.
  int64_t rows_per_chunk() const override;
  int64_t bytes_per_row() const override { return parts_.front()->bytes_per_row(); }
  Batch read(const std::vector<int64_t>& ids) const override;
  void read_all() const override;
  std::string access_method() const override;
  std::string place_of(int64_t id) const override;
  RowIdentity identity(int64_t id) const override {
    const size_t part = part_of(id);
    return parts_[part]->identity(id - first_[part]);
  }

 private:
  size_t part_of(int64_t row) const;

  std::vector<std::shared_ptr<const RowSource>> parts_;
  std::vector<int64_t> first_;  // (parts + 1): first row of each part, and the total
};

}  // namespace elbo
