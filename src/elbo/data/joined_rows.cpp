#include "elbo/data/joined_rows.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <set>

#include "elbo/base/text.h"

namespace elbo {

JoinedRows::JoinedRows(std::vector<std::shared_ptr<const RowSource>> parts)
    : parts_(std::move(parts)), first_{0} {
  for (const auto& part : parts_) first_.push_back(first_.back() + part->rows());
}

int64_t JoinedRows::rows_per_chunk() const {
  int64_t largest = 1;
  for (const auto& part : parts_) largest = std::max(largest, part->rows_per_chunk());
  return largest;
}

size_t JoinedRows::part_of(int64_t row) const {
  return static_cast<size_t>(std::ranges::upper_bound(first_, row) - first_.begin()) - 1;
}

Batch JoinedRows::read(const std::vector<int64_t>& ids) const {
  struct Request {
    std::vector<int64_t> ids, positions;  // in the part; in the batch
  };
  std::vector<Request> requests(parts_.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const size_t part = part_of(ids[i]);
    requests[part].ids.push_back(ids[i] - first_[part]);
    requests[part].positions.push_back(static_cast<int64_t>(i));
  }
  Batch batch;
  for (size_t part = 0; part < parts_.size(); ++part) {
    if (requests[part].ids.empty()) continue;
    const Batch rows_of_part = parts_[part]->read(requests[part].ids);
    const auto scatter = [&](torch::Tensor& whole, const torch::Tensor& rows) {
      if (!rows.defined()) return;
      if (!whole.defined()) {
        std::vector<int64_t> shape = rows.sizes().vec();
        shape.front() = static_cast<int64_t>(ids.size());
        whole = torch::empty(shape, rows.options());
      }
      whole.index_copy_(0, torch::tensor(requests[part].positions, torch::kInt64), rows);
    };
    scatter(batch.x, rows_of_part.x);
    scatter(batch.label, rows_of_part.label);
    scatter(batch.length, rows_of_part.length);
    scatter(batch.observed, rows_of_part.observed);
  }
  batch.ids = torch::tensor(ids, torch::kInt64);
  return batch;
}

void JoinedRows::read_all() const {
  for (const auto& part : parts_) part->read_all();
}

std::string JoinedRows::place_of(int64_t id) const {
  const size_t part = part_of(id);
  return parts_[part]->place_of(id - first_[part]);
}

std::string JoinedRows::access_method() const {
  std::set<std::string> methods;
  for (const auto& part : parts_) methods.insert(part->access_method());
  return join({methods.begin(), methods.end()}, "; ");
}

}  // namespace elbo
