#include "elbo/train/damage_search.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <vector>

#include "elbo/base/host.h"
#include "elbo/base/log.h"
#include "elbo/base/sha256.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

void add_bytes(Sha256& digest, const torch::Tensor& tensor) {
  const torch::Tensor host = tensor.detach().cpu().contiguous();
  digest.update(host.const_data_ptr(), host.nbytes());
}

// Type and sizes, separated by commas; "-" for none.
std::string layout_of(const torch::Tensor& tensor) {
  if (!tensor.defined()) return "-";
  return fmt::format("{},{}", static_cast<int>(tensor.scalar_type()), fmt::join(tensor.sizes().vec(), ","));
}

torch::Tensor empty_like(const std::string& layout) {
  if (layout == "-") return {};
  std::vector<int64_t> numbers;
  for (const std::string& number : split(layout, ',')) {
    numbers.push_back(0);
    std::from_chars(number.data(), number.data() + number.size(), numbers.back());
  }
  const auto type = static_cast<torch::ScalarType>(numbers.front());
  numbers.erase(numbers.begin());
  return torch::empty(numbers, type);
}

// The batch of the root on every rank, on its device; without rows if the root has none.
Batch broadcast_batch(Communicator& comm, const Batch& own, int root, torch::Device device) {
  std::vector<torch::Tensor> tensors{own.x, own.label, own.ids, own.length, own.observed};
  std::vector<std::string> layouts;
  layouts.reserve(tensors.size());
  for (const torch::Tensor& tensor : tensors) layouts.push_back(layout_of(tensor));
  layouts = split(broadcast_text(comm, join(layouts, ";"), root), ';');
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i] =
        comm.rank() == root && tensors[i].defined() ? tensors[i].cpu().contiguous() : empty_like(layouts[i]);
    if (tensors[i].defined()) comm.broadcast(tensors[i], root);
  }
  return Batch{tensors[0], tensors[1], tensors[2], tensors[3], tensors[4]}.to(device);
}

// The first rank whose digest is not that of most ranks, and how many those are.
std::optional<std::pair<size_t, int>> odd_one(const std::vector<std::vector<std::string>>& ranks,
                                              size_t field) {
  std::map<std::string, int> holders;
  for (const auto& rank : ranks) ++holders[rank[field]];
  const auto most = std::ranges::max_element(holders, {}, [](const auto& entry) { return entry.second; });
  for (size_t rank = 0; rank < ranks.size(); ++rank)
    if (ranks[rank][field] != most->first) return std::pair{rank, most->second};
  return std::nullopt;
}

}  // namespace

std::string DamageSearch::digest_of_state() const {
  Sha256 digest;
  add_bytes(digest, step_.values());
  for (const torch::Tensor& buffer : step_.replicas().front()->buffers()) add_bytes(digest, buffer);
  return digest.hex();
}

// With the present parameters. The microbatch is the first of another rank each time.
std::string DamageSearch::digest_of_gradient(int64_t number) const {
  Communicator& comm = step_.comm();
  if (comm.size() == 1 || number < 0 || same_arithmetic_ == false) return "-";
  const int root = static_cast<int>(number % comm.size());
  const bool has_rows =
      comm.rank() == root && !step_.batches().empty() && step_.batches().front().x.defined();
  Model& replica = *step_.replicas().front();
  const std::vector<torch::Tensor> parameters = replica.parameters();
  const Batch batch =
      broadcast_batch(comm, has_rows ? step_.batches().front() : Batch{}, root, parameters.front().device());
  if (!batch.x.defined()) return "-";
  const LossTerms terms = step_.objective(0, number, 0, replica, batch);
  const auto gradients =
      torch::autograd::grad({terms.loss.sum()}, parameters, {}, std::nullopt, false, /*allow_unused=*/true);
  Sha256 digest;
  add_bytes(digest, terms.loss);
  for (const torch::Tensor& gradient : gradients)
    if (gradient.defined()) add_bytes(digest, gradient);
  return digest.hex();
}

std::string DamageSearch::find(int64_t number) {
  const std::string state = digest_of_state(), gradient = digest_of_gradient(number);
  step_.check_memory();  // last, as the state may be saved next
  const std::string own = fmt::format("{}\t{}\t{}\t{}", host_name(), state, gradient, step_.own_damage());
  std::vector<std::vector<std::string>> ranks;
  for (const std::string& rank : all_gather_text(step_.comm(), own)) ranks.push_back(split(rank, '\t'));
  const auto name = [&](size_t rank) { return fmt::format("rank {} on {}", rank, ranks[rank][0]); };
  // Where the owner's values change while it sends them, the copies of all ranks differ, too.
  const auto owns = [&](size_t rank) { return !ranks[rank][3].starts_with("a copy"); };
  std::vector<size_t> damaged;
  for (size_t rank = 0; rank < ranks.size(); ++rank)
    if (ranks[rank].size() > 3) damaged.push_back(rank);
  std::stable_partition(damaged.begin(), damaged.end(), owns);
  if (!damaged.empty()) {
    const size_t rank = damaged.front();
    return fmt::format("the memory of {} has changed {} between two updates", name(rank), ranks[rank][3]);
  }
  if (const auto odd = odd_one(ranks, 1))
    return fmt::format("{} holds other parameters or buffers than {} of the {} ranks", name(odd->first),
                       odd->second, ranks.size());
  const auto odd = odd_one(ranks, 2);
  if (!same_arithmetic_ && ranks.front()[2] != "-") {
    same_arithmetic_ = !odd;
    if (odd)
      log::info(
          "{} computes other bits than {} of the {} ranks, as CPUs of another kind do: gradients are not "
          "compared (train.kernels=portable computes the same everywhere)",
          name(odd->first), odd->second, ranks.size());
    return "";
  }
  if (!odd) return "";
  return fmt::format("{} computes another gradient of the same rows than {} of the {} ranks",
                     name(odd->first), odd->second, ranks.size());
}

}  // namespace elbo
