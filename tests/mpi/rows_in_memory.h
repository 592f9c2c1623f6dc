// Rows that need no file.
#pragma once
#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

#include "elbo/data/row_source.h"

namespace elbo {

class RowsInMemory final : public RowSource {
 public:
  explicit RowsInMemory(torch::Tensor x, torch::Tensor length = {})
      : x_(std::move(x)), length_(std::move(length)) {}
  int64_t rows() const override { return x_.size(0); }
  int64_t rows_per_chunk() const override { return 100; }
  int64_t bytes_per_row() const override { return x_.numel() / x_.size(0) * 4; }
  Batch read(const std::vector<int64_t>& ids) const override {
    const torch::Tensor index = torch::tensor(ids);
    return {x_.index_select(0, index),
            {},
            index,
            length_.defined() ? length_.index_select(0, index) : torch::Tensor()};
  }
  void read_all() const override {}
  std::string access_method() const override { return "from memory"; }

 private:
  torch::Tensor x_, length_;
};

}  // namespace elbo
