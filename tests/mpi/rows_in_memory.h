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
  explicit RowsInMemory(torch::Tensor x, torch::Tensor length = {}, torch::Tensor observed = {})
      : x_(std::move(x)), length_(std::move(length)), observed_(std::move(observed)) {}
  int64_t rows() const override { return x_.size(0); }
  int64_t rows_per_chunk() const override { return 100; }
  int64_t bytes_per_row() const override { return x_.numel() / x_.size(0) * 4; }
  Batch read(const std::vector<int64_t>& ids) const override {
    const torch::Tensor index = torch::tensor(ids);
    const auto chosen = [&](const torch::Tensor& all) {
      return all.defined() ? all.index_select(0, index) : torch::Tensor();
    };
    return {
        .x = chosen(x_), .label = {}, .ids = index, .length = chosen(length_), .observed = chosen(observed_)};
  }
  void read_all() const override {}
  std::string access_method() const override { return "from memory"; }

 private:
  torch::Tensor x_, length_, observed_;
};

}  // namespace elbo
