#include "elbo/parallel/reduce_scatter.h"

#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "elbo/parallel/flat_parameters.h"

namespace elbo {

size_t LevelSums::rounds() const {
  size_t rounds = 0;
  for (const std::vector<Node>& nodes : sent) rounds = std::max(rounds, nodes.size());
  return rounds;
}

// On each level, ranks have been joined to groups of `size` consecutive ranks by the levels before.
std::vector<LevelSums> sums_of_levels(const Levels& levels, int64_t microbatches) {
  std::vector<LevelSums> result;
  const auto subtrees_of = [&](int64_t group, int64_t groups) {
    return maximal_subtrees(partition({0, microbatches}, group, groups), microbatches);
  };
  int64_t size = 1;
  for (size_t level = 0; level < levels.count(); ++level) {
    const int64_t members = levels[level].size(), groups = levels.size() / size;
    const int64_t joined = levels.rank() / (size * members);
    LevelSums sums;
    for (int64_t member = 0; member < members; ++member)
      sums.sent.push_back(subtrees_of(joined * members + member, groups));
    sums.merged = subtrees_of(joined, groups / members);
    result.push_back(std::move(sums));
    size *= members;
  }
  return result;
}

ReduceScatter::ReduceScatter(const Levels& levels, const std::vector<LevelSums>& sums, int64_t elements,
                             torch::TensorOptions options)
    : levels_(levels), sums_(sums), elements_(elements), options_(options), received_(levels.count()) {}

void ReduceScatter::start(std::vector<PartialSum> own) {
  level_ = 0;
  whole_ = {0, elements_};
  own_ = std::move(own);
  start_messages();
}

bool ReduceScatter::done() {
  return std::ranges::all_of(pending_, [](const auto& work) { return work->done(); });
}

void ReduceScatter::next(Workers* workers) {
  const std::vector<PartialSum> parts = arrived();
  own_.clear();
  for (const Node& node : sums_[level_].merged)
    own_.push_back(
        {node, workers != nullptr ? canonical_sum(node, parts, *workers) : canonical_sum(node, parts)});
  whole_ = {0, part_.size()};
  ++level_;
  start_messages();
}

torch::Tensor ReduceScatter::finish(Workers& workers) {
  return canonical_sum(sums_[level_].merged.front(), arrived(), workers);
}

// In round i, each rank with more than i sums sends every other rank its part of sum i.
void ReduceScatter::start_messages() {
  Communicator& comm = levels_[level_];
  const std::vector<std::vector<Node>>& sent = sums_[level_].sent;
  std::vector<int64_t> sizes;
  sizes.reserve(static_cast<size_t>(comm.size()));
  for (int member = 0; member < comm.size(); ++member)
    sizes.push_back(partition_blocks(whole_, member, comm.size()).size());
  part_ = partition_blocks(whole_, comm.rank(), comm.size());
  pending_.clear();
  std::vector<torch::Tensor>& received = received_[level_];
  for (size_t round = 0; round < sums_[level_].rounds(); ++round) {
    const bool sending = round < own_.size();
    AllToAllCounts counts;
    counts.send = sending ? sizes : std::vector<int64_t>(sizes.size(), 0);
    for (int member = 0; member < comm.size(); ++member)
      counts.receive.push_back(
          member != comm.rank() && round < sent[static_cast<size_t>(member)].size() ? part_.size() : 0);
    if (received.size() <= round)
      received.push_back(torch::empty(
          {std::accumulate(counts.receive.begin(), counts.receive.end(), int64_t{0})}, options_));
    pending_.push_back(comm.start_all_to_all(sending ? own_[round].sum : torch::empty({0}, options_),
                                             received[round], counts));
  }
}

std::vector<PartialSum> ReduceScatter::arrived() {
  for (const auto& work : pending_) work->wait();
  const Communicator& comm = levels_[level_];
  std::vector<PartialSum> parts;
  for (size_t round = 0; round < received_[level_].size(); ++round) {
    int64_t offset = 0;
    for (int member = 0; member < comm.size(); ++member) {
      const std::vector<Node>& nodes = sums_[level_].sent[static_cast<size_t>(member)];
      if (round >= nodes.size()) continue;
      const bool is_own = member == comm.rank();
      const torch::Tensor& sum = is_own ? own_[round].sum : received_[level_][round];
      parts.push_back({nodes[round], sum.narrow(0, is_own ? part_.first : offset, part_.size())});
      if (!is_own) offset += part_.size();
    }
  }
  return parts;
}

}  // namespace elbo
