#include "elbo/data/holdout.h"

#include <torch/types.h>

#include <algorithm>

#include "elbo/base/random.h"

namespace elbo {
namespace {

constexpr int64_t stratum = 100;

}  // namespace

Holdout::Holdout(std::shared_ptr<const RowSource> all, int64_t percent, Part part)
    : all_(std::move(all)), percent_(percent), part_(part) {
  rows_ = all_->rows() / stratum * count_of(stratum) + count_of(all_->rows() % stratum);
}

int64_t Holdout::count_of(int64_t rows) const {
  const int64_t held = rows * percent_ / stratum;
  return part_ == Part::validation ? held : rows - held;
}

int64_t Holdout::rows_per_chunk() const {
  const int64_t percent = part_ == Part::validation ? percent_ : stratum - percent_;
  return std::clamp<int64_t>(all_->rows_per_chunk() * percent / stratum, 1, std::max<int64_t>(1, rows_));
}

int64_t Holdout::row_of(int64_t id) const {
  const int64_t number = id / count_of(stratum);
  const int64_t first = number * stratum;
  const int64_t size = std::min(stratum, all_->rows() - first);
  const int64_t held = size * percent_ / stratum;
  const int64_t place = id % count_of(stratum) + (part_ == Part::validation ? 0 : held);
  // The first `held` of the permuted rows of a stratum are validation, the others training.
  const Permutation order(static_cast<uint64_t>(size),
                          Key(0).with("held out").with(static_cast<uint64_t>(number)));
  return first + static_cast<int64_t>(order(static_cast<uint64_t>(place)));
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
