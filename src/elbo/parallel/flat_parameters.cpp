#include "elbo/parallel/flat_parameters.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/index_range.h"
#include "elbo/base/sha256.h"

namespace elbo {
namespace {

constexpr int64_t alignment_elements = 16;  // 64 bytes of float32

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// The indices of the phase's parameters: [first, end).
std::pair<size_t, size_t> parameters_of(const Phase& phase, const std::vector<FlatParameters::Item>& items) {
  if (phase.modules.empty()) return {0, items.size()};
  const auto belongs = [&](const FlatParameters::Item& item) {
    return std::ranges::any_of(phase.modules,
                               [&](const std::string& m) { return item.name.starts_with(m + "."); });
  };
  const auto first = std::ranges::find_if(items, belongs);
  const auto end = std::find_if_not(first, items.end(), belongs);
  if (first == items.end())
    fail("phase {}: the model has no parameters in the modules that the phase names", phase.name);
  if (std::any_of(end, items.end(), belongs))
    fail("phase {}: its modules must be consecutive in order of registration", phase.name);
  return {static_cast<size_t>(first - items.begin()), static_cast<size_t>(end - items.begin())};
}

}  // namespace

IndexRange partition_blocks(IndexRange range, int64_t index, int64_t parts) {
  const IndexRange blocks =
      partition({range.first / block_elements, range.end / block_elements}, index, parts);
  return {blocks.first * block_elements, blocks.end * block_elements};
}

FlatParameters::FlatParameters(torch::nn::Module& model, const std::vector<Phase>& phases) {
  const auto parameters = model.named_parameters();
  for (const auto& parameter : parameters)
    items_.push_back({parameter.key(), parameter.value().sizes().vec(), 0, parameter.value().numel()});

  std::vector<std::pair<size_t, size_t>> indices;
  std::set<size_t> boundaries{items_.size()};  // of phases: items that begin at a block
  for (const Phase& phase : phases) {
    indices.push_back(parameters_of(phase, items_));
    boundaries.insert({indices.back().first, indices.back().second});
  }

  std::vector<int64_t> offsets;  // (items + 1): of each item, and of the end
  int64_t offset = 0;
  for (size_t i = 0; i <= items_.size(); ++i) {
    offset = round_up(offset, boundaries.contains(i) ? block_elements : alignment_elements);
    offsets.push_back(offset);
    if (i < items_.size()) {
      items_[i].offset = offset;
      offset += items_[i].elements;
    }
  }
  for (const auto& [first, end] : indices) ranges_.push_back({offsets[first], offsets[end]});

  const torch::Device device = parameters.is_empty() ? torch::kCPU : parameters.front().value().device();
  values_ = torch::zeros({offsets.back()}, torch::TensorOptions().device(device));
  const torch::NoGradGuard no_grad;
  for (const Item& item : items_) view(values_, item).copy_(parameters[item.name]);
  bind(model);
}

torch::Tensor FlatParameters::view(const torch::Tensor& flat, const Item& item, int64_t range_first) {
  return flat.narrow(0, item.offset - range_first, item.elements).view(item.shape);
}

void FlatParameters::bind(torch::nn::Module& replica) const {
  auto parameters = replica.named_parameters();
  for (const Item& item : items_) parameters[item.name].set_data(view(values_, item));
}

std::string fingerprint(const std::vector<std::pair<std::string, torch::Tensor>>& parameters) {
  Sha256 digest;
  for (const auto& [name, parameter] : parameters) {
    const torch::Tensor values = parameter.cpu().contiguous();
    digest.update(name);
    for (const int64_t size : values.sizes()) digest.update(&size, sizeof size);
    digest.update(values.const_data_ptr(), values.nbytes());
  }
  return digest.hex();
}

std::string fingerprint(const FlatParameters& flat_parameters) {
  const torch::Tensor values = flat_parameters.values().cpu();
  std::vector<std::pair<std::string, torch::Tensor>> parameters;
  for (const FlatParameters::Item& item : flat_parameters.items())
    parameters.emplace_back(item.name, FlatParameters::view(values, item));
  return fingerprint(parameters);
}

}  // namespace elbo
