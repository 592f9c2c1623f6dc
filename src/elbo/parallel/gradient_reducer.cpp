#include "elbo/parallel/gradient_reducer.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "elbo/base/text.h"
#include "elbo/parallel/block_norm.h"
#include "elbo/parallel/sum_over_ranks.h"

namespace elbo {
namespace {

std::vector<Buckets> make_buckets(const FlatParameters& flat_parameters, size_t phases, int ranks,
                                  const GradientReducerOptions& options) {
  std::vector<Buckets> result;
  for (size_t phase = 0; phase < phases; ++phase) {
    const IndexRange range = flat_parameters.range(phase);
    std::vector<int64_t> parameters;
    for (const FlatParameters::Item& item : flat_parameters.items())
      if (item.offset >= range.first && item.offset < range.end) parameters.push_back(item.offset);
    result.emplace_back(range, parameters, ranks, options.bucket_bytes, !options.exact);
  }
  return result;
}

}  // namespace

struct GradientReducer::PhaseState {
  PhaseState(size_t index, const Buckets& of_phase)
      : phase(index),
        buckets(of_phase),
        pending(of_phase.count()),
        received(of_phase.count()),
        gradient(of_phase.count()) {}

  size_t phase;
  const Buckets& buckets;
  size_t started = 0;                                       // buckets whose reduction has started
  std::vector<std::vector<std::unique_ptr<Work>>> pending;  // (buckets), one per round
  std::vector<std::vector<torch::Tensor>> received;         // (buckets), one per round
  std::vector<torch::Tensor> gradient;                      // (buckets): this rank's shard
  std::vector<std::string> names;                           // of the scalars
  int64_t statistics_size = 0;
  bool layout_agreed = false;  // names and statistics_size are known
};

GradientReducer::GradientReducer(Communicator& cpu_comm, Communicator& device_comm, Workers& workers,
                                 FlatParameters& flat_parameters,
                                 std::vector<std::vector<torch::Tensor>> replicas, size_t phases,
                                 const GradientReducerOptions& options)
    : cpu_comm_(cpu_comm),
      device_comm_(device_comm),
      workers_(workers),
      flat_parameters_(flat_parameters),
      options_(options),
      buckets_(make_buckets(flat_parameters, phases, cpu_comm.size(), options)),
      local_(workers, flat_parameters, std::move(replicas), buckets_, local_microbatches(),
             options.microbatches),
      gather_(device_comm, flat_parameters.values()),
      waited_seconds_(static_cast<size_t>(workers.count())) {
  for (int rank = 0; rank < cpu_comm_.size(); ++rank)
    subtrees_.push_back(maximal_subtrees(partition({0, options_.microbatches}, rank, cpu_comm_.size()),
                                         options_.microbatches));
  for (size_t phase = 0; phase < phases; ++phase)
    phases_.push_back(std::make_unique<PhaseState>(phase, buckets_[phase]));
}

GradientReducer::~GradientReducer() = default;

void GradientReducer::compute(size_t phase, const LocalGradients::Task& task) {
  PhaseState& state = *phases_[phase];
  state.started = 0;
  since_first_bucket_.reset();
  local_.compute(phase, task, [&] { return advance(state); });
  overlapped_seconds_ = since_first_bucket_ ? since_first_bucket_->lap() : 0;
}

bool GradientReducer::advance(PhaseState& state) {
  const std::lock_guard lock(communicating_);
  gather_.poll();
  const size_t early = state.buckets.count() - 1;
  while (state.started < early && local_.complete(state.phase, state.started)) start_next_bucket(state);
  for (size_t bucket = 0; bucket < state.started; ++bucket)
    for (const auto& work : state.pending[bucket])
      if (!work->done()) return false;
  return state.started == early;
}

void GradientReducer::start_next_bucket(PhaseState& state) {
  const size_t bucket = state.started++;
  state.pending[bucket].clear();
  if (cpu_comm_.size() == 1) return;
  const torch::NoGradGuard no_grad;
  if (!since_first_bucket_) since_first_bucket_.emplace();
  const std::vector<PartialSum> own = local_.sums(state.phase, state.buckets[bucket]);
  options_.exact ? start_reduce_scatter(state, bucket, own) : start_all_reduce(state, bucket, own);
}

// In round i, each rank with more than i maximal subtrees sends every other rank its shard of the sum of
// subtree i.
void GradientReducer::start_reduce_scatter(PhaseState& state, size_t bucket,
                                           const std::vector<PartialSum>& own) {
  size_t rounds = 0;
  for (const std::vector<Node>& nodes : subtrees_) rounds = std::max(rounds, nodes.size());
  const int64_t mine = state.buckets.shard(bucket, cpu_comm_.rank()).size();
  const torch::Tensor empty = flat_parameters_.values().narrow(0, 0, 0);
  std::vector<torch::Tensor>& received = state.received[bucket];
  for (size_t round = 0; round < rounds; ++round) {
    const bool sending = round < own.size();
    AllToAllCounts counts;
    counts.send = sending ? state.buckets.shard_sizes(bucket) : std::vector<int64_t>(subtrees_.size(), 0);
    for (int rank = 0; rank < cpu_comm_.size(); ++rank)
      counts.receive.push_back(
          rank != cpu_comm_.rank() && round < subtrees_[static_cast<size_t>(rank)].size() ? mine : 0);
    if (received.size() <= round)
      received.push_back(torch::empty(
          {std::accumulate(counts.receive.begin(), counts.receive.end(), int64_t{0})}, empty.options()));
    state.pending[bucket].push_back(
        device_comm_.start_all_to_all(sending ? own[round].sum : empty, received[round], counts));
  }
}

void GradientReducer::start_all_reduce(PhaseState& state, size_t bucket, const std::vector<PartialSum>& own) {
  std::vector<torch::Tensor>& received = state.received[bucket];
  if (own.empty()) {
    received = {torch::zeros({state.buckets[bucket].size()}, flat_parameters_.values().options())};
  } else {
    received = {own.front().sum};
    for (size_t i = 1; i < own.size(); ++i) received.front().add_(own[i].sum);
  }
  state.pending[bucket].push_back(device_comm_.start_all_reduce(received.front(), ReduceOp::sum));
}

torch::Tensor GradientReducer::sum_bucket(PhaseState& state, size_t bucket) {
  const std::vector<torch::Tensor>& received = state.received[bucket];
  if (!options_.exact && cpu_comm_.size() > 1) return received.front();
  const IndexRange shard = state.buckets.shard(bucket, cpu_comm_.rank());
  const std::vector<PartialSum> own = local_.sums(state.phase, shard);
  if (cpu_comm_.size() == 1) return own.front().sum;
  std::vector<PartialSum> parts;
  for (size_t round = 0; round < received.size(); ++round) {
    int64_t offset = 0;
    for (int rank = 0; rank < cpu_comm_.size(); ++rank) {
      const std::vector<Node>& nodes = subtrees_[static_cast<size_t>(rank)];
      if (round >= nodes.size()) continue;
      const bool is_own = rank == cpu_comm_.rank();
      parts.push_back(
          {nodes[round], is_own ? own[round].sum : received[round].narrow(0, offset, shard.size())});
      if (!is_own) offset += shard.size();
    }
  }
  return canonical_sum({0, options_.microbatches}, parts, workers_);
}

StepSums GradientReducer::finish(size_t phase, const std::vector<double>& status) {
  const torch::NoGradGuard no_grad;
  PhaseState& state = *phases_[phase];
  await_all_parameters();
  local_.reduce_last_bucket(phase);
  while (state.started < state.buckets.count()) start_next_bucket(state);
  agree_on_report_layout(state);
  std::vector<double> squares;  // of the blocks of this rank's shards
  for (size_t bucket = 0; bucket < state.buckets.count(); ++bucket) {
    for (const auto& work : state.pending[bucket]) work->wait();
    state.gradient[bucket] = sum_bucket(state, bucket);
    const std::vector<double> more = block_square_sums(state.gradient[bucket], workers_);
    squares.insert(squares.end(), more.begin(), more.end());
  }

  // One all-gather carries the scalars of all microbatches, the square sums of all blocks and the status of
  // all ranks.
  const size_t width = state.names.size();
  std::vector<double> mine;
  for (const std::vector<double>& microbatch : local_.scalars())
    mine.insert(mine.end(), microbatch.begin(), microbatch.end());
  mine.insert(mine.end(), squares.begin(), squares.end());
  mine.insert(mine.end(), status.begin(), status.end());

  std::vector<int64_t> counts;
  std::vector<int64_t> microbatch_counts;
  for (int rank = 0; rank < cpu_comm_.size(); ++rank) {
    microbatch_counts.push_back(partition({0, options_.microbatches}, rank, cpu_comm_.size()).size());
    counts.push_back(microbatch_counts.back() * static_cast<int64_t>(width) +
                     state.buckets.shard_elements(rank) / block_elements +
                     static_cast<int64_t>(status.size()));
  }
  torch::Tensor all =
      torch::empty({std::accumulate(counts.begin(), counts.end(), int64_t{0})}, torch::kFloat64);
  const auto* data = all.mutable_data_ptr<double>();
  std::copy(mine.begin(), mine.end(),
            all.mutable_data_ptr<double>() +
                std::accumulate(counts.begin(), counts.begin() + cpu_comm_.rank(), int64_t{0}));
  cpu_comm_.all_gather(all, counts);

  StepSums sums{.names = state.names,
                .scalars = std::vector<double>(width, 0.0),
                .gradient_norm = 0,
                .statistics = sum_statistics(state),
                .rank_status = {}};
  std::vector<double> all_squares(static_cast<size_t>(state.buckets.range().size() / block_elements));
  for (int rank = 0; rank < cpu_comm_.size(); ++rank) {
    const double* at = data;
    for (int64_t microbatch = 0; microbatch < microbatch_counts[static_cast<size_t>(rank)]; ++microbatch)
      for (double& scalar : sums.scalars) scalar += *at++;
    for (size_t bucket = 0; bucket < state.buckets.count(); ++bucket) {
      const IndexRange shard = state.buckets.shard(bucket, rank);
      std::copy(at, at + shard.size() / block_elements,
                all_squares.begin() + (shard.first - state.buckets.range().first) / block_elements);
      at += shard.size() / block_elements;
    }
    sums.rank_status.emplace_back(at, at + status.size());
    data += counts[static_cast<size_t>(rank)];
  }
  sums.gradient_norm = std::sqrt(canonical_sum(all_squares));
  return sums;
}

// Broadcasts the layout of the reports once, because a rank without microbatches does not know it.
void GradientReducer::agree_on_report_layout(PhaseState& state) {
  if (state.layout_agreed) return;
  const LocalGradients::ReportLayout& layout = local_.report_layout(state.phase);
  int owner = 0;
  while (!partition({0, options_.microbatches}, owner, cpu_comm_.size()).contains(0)) ++owner;
  state.names = split(broadcast_text(cpu_comm_, join(layout.names, ","), owner), ',');
  torch::Tensor size = torch::tensor(layout.statistics);
  cpu_comm_.broadcast(size, owner);
  state.statistics_size = size.item<int64_t>();
  state.layout_agreed = true;
}

torch::Tensor GradientReducer::sum_statistics(PhaseState& state) {
  if (state.statistics_size == 0) return {};
  return sum_over_ranks(cpu_comm_, local_.statistics(state.phase), options_.microbatches,
                        {state.statistics_size}, torch::kFloat32);
}

std::vector<torch::Tensor> GradientReducer::shard(size_t phase) {
  const Buckets& buckets = phases_[phase]->buckets;
  std::vector<torch::Tensor> pieces;
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    const IndexRange own = buckets.shard(bucket, cpu_comm_.rank());
    pieces.push_back(flat_parameters_.values().narrow(0, own.first, own.size()));
  }
  return pieces;
}

const Buckets& GradientReducer::buckets(size_t phase) const { return phases_[phase]->buckets; }

const std::vector<torch::Tensor>& GradientReducer::gradient(size_t phase) const {
  return phases_[phase]->gradient;
}

void GradientReducer::start_all_gather(size_t phase) {
  if (options_.exact && cpu_comm_.size() > 1) gather_.start(phases_[phase]->buckets);
}

void GradientReducer::await_parameters(IndexRange elements, int worker) {
  if (gather_.arrived(elements)) return;
  Stopwatch watch;
  {
    const std::lock_guard lock(communicating_);
    gather_.await(elements);
  }
  waited_seconds_[static_cast<size_t>(worker)] += watch.lap();
}

void GradientReducer::await_all_parameters() { gather_.await_all(); }

double GradientReducer::take_waited_seconds() {
  const double longest = *std::ranges::max_element(waited_seconds_);
  std::ranges::fill(waited_seconds_, 0.0);
  return longest;
}

torch::Tensor GradientReducer::select(size_t phase, const torch::Tensor& whole) const {
  const Buckets& buckets = phases_[phase]->buckets;
  std::vector<torch::Tensor> pieces;
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    const IndexRange own = buckets.shard(bucket, cpu_comm_.rank());
    pieces.push_back(whole.narrow(0, own.first - buckets.range().first, own.size()));
  }
  return torch::cat(pieces);
}

torch::Tensor GradientReducer::gather(size_t phase, const torch::Tensor& shard) const {
  const Buckets& buckets = phases_[phase]->buckets;
  const int64_t begin = buckets.range().first;
  torch::Tensor all = torch::empty({buckets.range().size()}, shard.options());
  int64_t offset = 0;
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    const IndexRange own = buckets.shard(bucket, cpu_comm_.rank());
    all.narrow(0, own.first - begin, own.size()).copy_(shard.narrow(0, offset, own.size()));
    offset += own.size();
    if (!options_.exact) continue;
    torch::Tensor values = all.narrow(0, buckets[bucket].first - begin, buckets[bucket].size());
    device_comm_.all_gather(values, buckets.shard_sizes(bucket));
  }
  return all;
}

}  // namespace elbo
