#include "elbo/data/holdout.h"

#include <torch/types.h>

#include <algorithm>

#include "elbo/base/random.h"

namespace elbo {
namespace {

constexpr int64_t group_size = 100;

}  // namespace

Holdout::Holdout(std::shared_ptr<const RowSource> all, int64_t percent, Part part)
    : all_(std::move(all)), percent_(percent), part_(part) {
  rows_ = all_->rows() / group_size * count_of(group_size) + count_of(all_->rows() % group_size);
}

int64_t Holdout::count_of(int64_t rows) const {
  const int64_t validation = rows * percent_ / group_size;
  return part_ == Part::validation ? validation : rows - validation;
}

int64_t Holdout::rows_per_chunk() const {
  const int64_t percent = part_ == Part::validation ? percent_ : group_size - percent_;
  return std::clamp<int64_t>(all_->rows_per_chunk() * percent / group_size, 1, std::max<int64_t>(1, rows_));
}

int64_t Holdout::row_of(int64_t id) const {
  const int64_t number = id / count_of(group_size);
  const int64_t first = number * group_size;
  const int64_t size = std::min(group_size, all_->rows() - first);
  const int64_t validation = size * percent_ / group_size;
  const int64_t index = id % count_of(group_size) + (part_ == Part::validation ? 0 : validation);
  // The first `validation` rows of a group, in permuted order, are validation rows, the others training rows.
  const Permutation permutation(static_cast<uint64_t>(size),
                                Key(0).with("held out").with(static_cast<uint64_t>(number)));
  return first + static_cast<int64_t>(permutation(static_cast<uint64_t>(index)));
}

Batch Holdout::read(const std::vector<int64_t>& ids) const {
  std::vector<int64_t> rows;
  rows.reserve(ids.size());
  for (const int64_t id : ids) rows.push_back(row_of(id));
  Batch batch = all_->read(rows);
  batch.ids = torch::tensor(ids, torch::kInt64);
  return batch;
}

}  // namespace elbo
