#include "parallel/exchange.h"

#include <torch/torch.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/text.h"
#include "parallel/block_norm.h"

namespace elbo {
namespace {

// Writes gradients into a buffer laid out like the phase's range, or adds them to it.
void deposit(const Arena& arena, ElementRange range, std::vector<torch::Tensor>& replica,
             const torch::Tensor& buffer, bool accumulate) {
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < replica.size(); ++i) {
    torch::Tensor& gradient = replica[i].mutable_grad();
    const Arena::Item& item = arena.items()[i];
    if (item.offset >= range.first && item.offset < range.end) {
      torch::Tensor target = Arena::view(buffer, item, range.first);
      if (!gradient.defined()) {
        if (!accumulate) target.zero_();
      } else if (accumulate) {
        target.add_(gradient);
      } else {
        target.copy_(gradient);
      }
    }
    gradient.reset();
  }
}

std::vector<Part> narrowed(const std::vector<Part>& parts, ElementRange range) {
  std::vector<Part> result;
  result.reserve(parts.size());
  for (const Part& part : parts) result.push_back({part.node, part.sum.narrow(0, range.first, range.size())});
  return result;
}

}  // namespace

torch::Tensor sum_over_ranks(Communicator& comm, const std::vector<Part>& own, int64_t leaves,
                             torch::IntArrayRef shape, torch::ScalarType type) {
  const int64_t elements = c10::multiply_integers(shape);
  std::vector<Node> nodes;
  std::vector<int64_t> counts;
  for (int rank = 0; rank < comm.size(); ++rank) {
    const std::vector<Node> of_rank = maximal_subtrees(share_of({0, leaves}, rank, comm.size()), leaves);
    nodes.insert(nodes.end(), of_rank.begin(), of_rank.end());
    counts.push_back(static_cast<int64_t>(of_rank.size()) * elements);
  }
  std::vector<int64_t> sizes{static_cast<int64_t>(nodes.size())};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  torch::Tensor all = torch::empty(sizes, type);
  int64_t place = 0;
  for (int rank = 0; rank < comm.rank(); ++rank) place += counts[static_cast<size_t>(rank)] / elements;
  for (const Part& part : own) all[place++].copy_(part.sum);
  comm.all_gather(all, counts);
  std::vector<Part> parts;
  parts.reserve(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) parts.push_back({nodes[i], all[static_cast<int64_t>(i)]});
  return canonical_sum({0, leaves}, parts);
}

Exchange::Exchange(Communicator& host, Communicator& bulk, Workers& workers, Arena& arena, size_t phases,
                   int64_t leaves, bool exact)
    : host_(host),
      bulk_(bulk),
      workers_(workers),
      arena_(arena),
      leaves_(leaves),
      exact_(exact),
      scalars_(static_cast<size_t>(leaves_of_rank().size())) {
  for (size_t phase = 0; phase < phases; ++phase) {
    PhaseState state;
    state.range = arena.range(phase);
    for (int worker = 0; worker < workers.count(); ++worker)
      state.workers.emplace_back(leaves, state.range.size(), arena.values().device());
    state.statistics.resize(static_cast<size_t>(workers.count()));
    phases_.push_back(std::move(state));
  }
}

ElementRange Exchange::slice_of(size_t phase, int rank) const {
  const ElementRange range = phases_[phase].range;
  return exact_ ? block_share(range, rank, host_.size()) : range;
}

ElementRange Exchange::slice(size_t phase) const { return slice_of(phase, host_.rank()); }

std::vector<int64_t> Exchange::slice_sizes(size_t phase) const {
  std::vector<int64_t> sizes;
  sizes.reserve(static_cast<size_t>(host_.size()));
  for (int rank = 0; rank < host_.size(); ++rank) sizes.push_back(slice_of(phase, rank).size());
  return sizes;
}

void Exchange::begin(size_t phase) {
  for (LeafAccumulator& accumulator : phases_[phase].workers) accumulator.reset();
  for (auto& accumulator : phases_[phase].statistics)
    if (accumulator) accumulator->reset();
}

void Exchange::add(size_t phase, int worker, int64_t leaf, std::vector<torch::Tensor>& replica,
                   const std::vector<std::string>& names, std::vector<double> scalars,
                   const torch::Tensor& statistics) {
  PhaseState& state = phases_[phase];
  state.workers[static_cast<size_t>(worker)].add(leaf, [&](const torch::Tensor& buffer, bool accumulate) {
    deposit(arena_, state.range, replica, buffer, accumulate);
  });
  scalars_[static_cast<size_t>(leaf - leaves_of_rank().first)] = std::move(scalars);
  if (statistics.defined()) {
    std::optional<LeafAccumulator>& sums = state.statistics[static_cast<size_t>(worker)];
    if (!sums) sums.emplace(leaves_, statistics.numel(), torch::kCPU);
    sums->add(leaf, [&](torch::Tensor& buffer, bool accumulate) {
      accumulate ? buffer.add_(statistics.cpu()) : buffer.copy_(statistics);
    });
  }
  // All leaves report in one form; the rank's first leaf, which one worker owns, speaks for all.
  if (leaf == leaves_of_rank().first && !state.form_agreed) {
    state.names = names;
    state.statistics_size = statistics.defined() ? statistics.numel() : 0;
  }
}

StepSums Exchange::finish(size_t phase, const std::vector<double>& notice) {
  const torch::NoGradGuard no_grad;
  PhaseState& state = phases_[phase];
  agree_on_form(state);
  std::vector<Part> own = sum_own_leaves(state);
  if (exact_) {
    exchange_slices(phase, own);
  } else {
    reduce_by_library(phase, std::move(own));
  }

  // One message tells everybody everything: the scalars of all leaves, the squares of all blocks, the notices
  // of all ranks.
  const size_t width = state.names.size();
  std::vector<double> mine;
  for (const std::vector<double>& leaf : scalars_) mine.insert(mine.end(), leaf.begin(), leaf.end());
  const std::vector<double> squares = block_square_sums(state.gradient, workers_);
  mine.insert(mine.end(), squares.begin(), squares.end());
  mine.insert(mine.end(), notice.begin(), notice.end());

  std::vector<int64_t> counts;
  std::vector<int64_t> leaf_counts;
  for (int rank = 0; rank < host_.size(); ++rank) {
    leaf_counts.push_back(share_of({0, leaves_}, rank, host_.size()).size());
    counts.push_back(leaf_counts.back() * static_cast<int64_t>(width) +
                     slice_of(phase, rank).size() / block_elements + static_cast<int64_t>(notice.size()));
  }
  torch::Tensor all =
      torch::empty({std::accumulate(counts.begin(), counts.end(), int64_t{0})}, torch::kFloat64);
  const auto* data = all.mutable_data_ptr<double>();
  std::copy(mine.begin(), mine.end(),
            all.mutable_data_ptr<double>() +
                std::accumulate(counts.begin(), counts.begin() + host_.rank(), int64_t{0}));
  host_.all_gather(all, counts);

  StepSums sums{.names = state.names,
                .scalars = std::vector<double>(width, 0.0),
                .gradient_norm = 0,
                .statistics = sum_statistics(state),
                .notices = {}};
  std::vector<double> all_squares;
  for (int rank = 0; rank < host_.size(); ++rank) {
    const double* at = data;
    for (int64_t leaf = 0; leaf < leaf_counts[static_cast<size_t>(rank)]; ++leaf)
      for (double& scalar : sums.scalars) scalar += *at++;
    const int64_t blocks = slice_of(phase, rank).size() / block_elements;
    if (exact_ || rank == 0) all_squares.insert(all_squares.end(), at, at + blocks);
    at += blocks;
    sums.notices.emplace_back(at, at + notice.size());
    data += counts[static_cast<size_t>(rank)];
  }
  sums.gradient_norm = std::sqrt(canonical_sum(all_squares));
  return sums;
}

// A rank without leaves learns here what the others report, once.
void Exchange::agree_on_form(PhaseState& state) {
  if (state.form_agreed) return;
  int owner = 0;
  while (!share_of({0, leaves_}, owner, host_.size()).contains(0)) ++owner;
  state.names = split(broadcast_text(host_, join(state.names, ","), owner), ',');
  torch::Tensor size = torch::tensor(state.statistics_size);
  host_.broadcast(size, owner);
  state.statistics_size = size.item<int64_t>();
  state.form_agreed = true;
}

// Statistics are few beside the gradients, and every rank needs all of them: they go whole.
torch::Tensor Exchange::sum_statistics(PhaseState& state) {
  if (state.statistics_size == 0) return {};
  std::vector<Part> parts;
  for (const auto& accumulator : state.statistics)
    if (accumulator) parts.insert(parts.end(), accumulator->parts().begin(), accumulator->parts().end());
  std::vector<Part> own;
  for (const Node& node : maximal_subtrees(leaves_of_rank(), leaves_))
    own.push_back({node, canonical_sum(node, parts)});
  return sum_over_ranks(host_, own, leaves_, {state.statistics_size}, torch::kFloat32);
}

std::vector<Part> Exchange::sum_own_leaves(PhaseState& state) {
  std::vector<Part> parts;
  for (const LeafAccumulator& accumulator : state.workers)
    parts.insert(parts.end(), accumulator.parts().begin(), accumulator.parts().end());
  std::vector<Part> sums;
  for (const Node& node : maximal_subtrees(leaves_of_rank(), leaves_))
    sums.push_back({node, sum_in_parallel(node, parts, state.range.size())});
  return sums;
}

torch::Tensor Exchange::sum_in_parallel(Node node, const std::vector<Part>& parts, int64_t elements) {
  const auto first =
      std::ranges::find_if(parts, [&](const Part& part) { return part.node.first == node.first; });
  if (first == parts.end()) fail("leaf {} is missing from a sum over this rank's leaves", node.first);
  if (first->node.end != node.end)
    workers_.run([&](int worker) {
      const ElementRange share = block_share({0, elements}, worker, workers_.count());
      if (share.size() > 0) canonical_sum(node, narrowed(parts, share));
    });
  return first->sum;
}

void Exchange::exchange_slices(size_t phase, const std::vector<Part>& own) {
  PhaseState& state = phases_[phase];
  const int world = host_.size();
  if (world == 1) {
    state.gradient = own.front().sum;
    return;
  }
  std::vector<std::vector<Node>> nodes;  // the subtrees of each rank
  size_t rounds = 0;
  for (int rank = 0; rank < world; ++rank) {
    nodes.push_back(maximal_subtrees(share_of({0, leaves_}, rank, world), leaves_));
    rounds = std::max(rounds, nodes.back().size());
  }
  const ElementRange range = state.range, mine = slice(phase);
  const torch::Tensor nothing = arena_.values().narrow(0, 0, 0);
  std::vector<Part> parts;
  for (size_t round = 0; round < rounds; ++round) {
    const bool sending = round < own.size();
    const auto takes_part = [&](int rank) { return round < nodes[static_cast<size_t>(rank)].size(); };
    Split split;
    split.send = sending ? slice_sizes(phase) : std::vector<int64_t>(static_cast<size_t>(world), 0);
    for (int rank = 0; rank < world; ++rank)
      split.receive.push_back(rank != host_.rank() && takes_part(rank) ? mine.size() : 0);
    if (state.received.size() <= round)
      state.received.push_back(
          torch::empty({std::accumulate(split.receive.begin(), split.receive.end(), int64_t{0})},
                       arena_.values().options()));
    bulk_.all_to_all(sending ? own[round].sum : nothing, state.received[round], split);
    int64_t offset = 0;
    for (int rank = 0; rank < world; ++rank) {
      if (!takes_part(rank)) continue;
      const bool at_hand = rank == host_.rank();
      parts.push_back({nodes[static_cast<size_t>(rank)][round],
                       at_hand ? own[round].sum.narrow(0, mine.first - range.first, mine.size())
                               : state.received[round].narrow(0, offset, mine.size())});
      if (!at_hand) offset += mine.size();
    }
  }
  state.gradient = sum_in_parallel({0, leaves_}, parts, mine.size());
}

void Exchange::reduce_by_library(size_t phase, std::vector<Part> own) {
  PhaseState& state = phases_[phase];
  if (own.empty()) {
    state.gradient = torch::zeros({state.range.size()}, arena_.values().options());
  } else {
    state.gradient = own.front().sum;
    for (size_t i = 1; i < own.size(); ++i) state.gradient.add_(own[i].sum);
  }
  bulk_.all_reduce(state.gradient, ReduceOp::sum);
}

void Exchange::publish(size_t phase) {
  if (!exact_) return;
  torch::Tensor values = arena_.values().narrow(0, phases_[phase].range.first, phases_[phase].range.size());
  bulk_.all_gather(values, slice_sizes(phase));
}

torch::Tensor Exchange::gather(size_t phase, const torch::Tensor& slice_values) const {
  if (!exact_) return slice_values;
  const ElementRange range = phases_[phase].range;
  torch::Tensor all = torch::empty({range.size()}, slice_values.options());
  all.narrow(0, slice(phase).first - range.first, slice(phase).size()).copy_(slice_values);
  bulk_.all_gather(all, slice_sizes(phase));
  return all;
}

}  // namespace elbo
