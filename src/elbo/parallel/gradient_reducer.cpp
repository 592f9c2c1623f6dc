#include "elbo/parallel/gradient_reducer.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <numeric>

#include "elbo/base/text.h"
#include "elbo/parallel/block_norm.h"
#include "elbo/parallel/sum_over_ranks.h"

namespace elbo {
namespace {

std::vector<Buckets> cut_phases(const FlatParameters& flat_parameters, size_t phases, int ranks,
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
  PhaseState(size_t number, const Buckets& all)
      : phase(number), buckets(all), transfers(all.count()), received(all.count()), gradient(all.count()) {}

  size_t phase;
  const Buckets& buckets;
  size_t posted = 0;                                          // buckets that are on their way
  std::vector<std::vector<std::unique_ptr<Work>>> transfers;  // of each bucket
  std::vector<std::vector<torch::Tensor>> received;           // of each bucket, one a round
  std::vector<torch::Tensor> gradient;                        // of each bucket
  std::vector<std::string> names;                             // of the scalars
  int64_t statistics_size = 0;
  bool form_agreed = false;  // names and the size of the statistics
};

GradientReducer::GradientReducer(Communicator& host, Communicator& device_comm, Workers& workers,
                                 FlatParameters& flat_parameters,
                                 std::vector<std::vector<torch::Tensor>> replicas, size_t phases,
                                 const GradientReducerOptions& options)
    : host_(host),
      device_comm_(device_comm),
      workers_(workers),
      flat_parameters_(flat_parameters),
      options_(options),
      buckets_(cut_phases(flat_parameters, phases, host.size(), options)),
      sums_(workers, flat_parameters, std::move(replicas), buckets_, local_microbatches(),
            options.microbatches) {
  for (int rank = 0; rank < host_.size(); ++rank)
    subtrees_.push_back(
        maximal_subtrees(partition({0, options_.microbatches}, rank, host_.size()), options_.microbatches));
  for (size_t phase = 0; phase < phases; ++phase)
    phases_.push_back(std::make_unique<PhaseState>(phase, buckets_[phase]));
}

GradientReducer::~GradientReducer() = default;

void GradientReducer::compute(size_t phase, const LocalGradients::Task& task) {
  PhaseState& state = *phases_[phase];
  state.posted = 0;
  under_way_.reset();
  sums_.compute(phase, task, [&] { return advance(state); });
  overlapped_seconds_ = under_way_ ? under_way_->lap() : 0;
}

bool GradientReducer::advance(PhaseState& state) {
  const size_t early = state.buckets.count() - 1;
  while (state.posted < early && sums_.complete(state.phase, state.posted)) post(state);
  for (size_t bucket = 0; bucket < state.posted; ++bucket)
    for (const auto& transfer : state.transfers[bucket])
      if (!transfer->done()) return false;
  return state.posted == early;
}

void GradientReducer::post(PhaseState& state) {
  const size_t bucket = state.posted++;
  state.transfers[bucket].clear();
  if (host_.size() == 1) return;
  const torch::NoGradGuard no_grad;
  if (!under_way_) under_way_.emplace();
  const std::vector<Part> own = sums_.sums(state.phase, state.buckets[bucket]);
  options_.exact ? post_reduce_scatter(state, bucket, own) : post_all_reduce(state, bucket, own);
}

// In rounds: a rank whose leaves make several subtrees sends so many slices to each other.
void GradientReducer::post_reduce_scatter(PhaseState& state, size_t bucket, const std::vector<Part>& own) {
  size_t rounds = 0;
  for (const std::vector<Node>& nodes : subtrees_) rounds = std::max(rounds, nodes.size());
  const int64_t mine = state.buckets.slice(bucket, host_.rank()).size();
  const torch::Tensor nothing = flat_parameters_.values().narrow(0, 0, 0);
  std::vector<torch::Tensor>& received = state.received[bucket];
  for (size_t round = 0; round < rounds; ++round) {
    const bool sending = round < own.size();
    AllToAllCounts counts;
    counts.send = sending ? state.buckets.shard_sizes(bucket) : std::vector<int64_t>(subtrees_.size(), 0);
    for (int rank = 0; rank < host_.size(); ++rank)
      counts.receive.push_back(
          rank != host_.rank() && round < subtrees_[static_cast<size_t>(rank)].size() ? mine : 0);
    if (received.size() <= round)
      received.push_back(torch::empty(
          {std::accumulate(counts.receive.begin(), counts.receive.end(), int64_t{0})}, nothing.options()));
    state.transfers[bucket].push_back(
        device_comm_.start_all_to_all(sending ? own[round].sum : nothing, received[round], counts));
  }
}

void GradientReducer::post_all_reduce(PhaseState& state, size_t bucket, const std::vector<Part>& own) {
  std::vector<torch::Tensor>& received = state.received[bucket];
  if (own.empty()) {
    received = {torch::zeros({state.buckets[bucket].size()}, flat_parameters_.values().options())};
  } else {
    received = {own.front().sum};
    for (size_t i = 1; i < own.size(); ++i) received.front().add_(own[i].sum);
  }
  state.transfers[bucket].push_back(device_comm_.start_all_reduce(received.front(), ReduceOp::sum));
}

torch::Tensor GradientReducer::sum_bucket(PhaseState& state, size_t bucket) {
  const std::vector<torch::Tensor>& received = state.received[bucket];
  if (!options_.exact && host_.size() > 1) return received.front();
  const IndexRange slice = state.buckets.slice(bucket, host_.rank());
  const std::vector<Part> own = sums_.sums(state.phase, slice);
  if (host_.size() == 1) return own.front().sum;
  std::vector<Part> parts;
  for (size_t round = 0; round < received.size(); ++round) {
    int64_t offset = 0;
    for (int rank = 0; rank < host_.size(); ++rank) {
      const std::vector<Node>& nodes = subtrees_[static_cast<size_t>(rank)];
      if (round >= nodes.size()) continue;
      const bool at_hand = rank == host_.rank();
      parts.push_back(
          {nodes[round], at_hand ? own[round].sum : received[round].narrow(0, offset, slice.size())});
      if (!at_hand) offset += slice.size();
    }
  }
  return canonical_sum({0, options_.microbatches}, parts, workers_);
}

StepSums GradientReducer::finish(size_t phase, const std::vector<double>& status) {
  const torch::NoGradGuard no_grad;
  PhaseState& state = *phases_[phase];
  sums_.join_last_bucket(phase);
  while (state.posted < state.buckets.count()) post(state);
  agree_on_form(state);
  std::vector<double> squares;  // of the blocks that this rank owns, bucket by bucket
  for (size_t bucket = 0; bucket < state.buckets.count(); ++bucket) {
    for (const auto& transfer : state.transfers[bucket]) transfer->wait();
    state.gradient[bucket] = sum_bucket(state, bucket);
    const std::vector<double> more = block_square_sums(state.gradient[bucket], workers_);
    squares.insert(squares.end(), more.begin(), more.end());
  }

  // One message tells everybody everything: the scalars of all leaves, the squares of all blocks, the notices
  // of all ranks.
  const size_t width = state.names.size();
  std::vector<double> mine;
  for (const std::vector<double>& microbatch : sums_.scalars())
    mine.insert(mine.end(), microbatch.begin(), microbatch.end());
  mine.insert(mine.end(), squares.begin(), squares.end());
  mine.insert(mine.end(), status.begin(), status.end());

  std::vector<int64_t> counts;
  std::vector<int64_t> microbatch_counts;
  for (int rank = 0; rank < host_.size(); ++rank) {
    microbatch_counts.push_back(partition({0, options_.microbatches}, rank, host_.size()).size());
    counts.push_back(microbatch_counts.back() * static_cast<int64_t>(width) +
                     state.buckets.elements_of(rank) / block_elements + static_cast<int64_t>(status.size()));
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
                .rank_status = {}};
  std::vector<double> all_squares(static_cast<size_t>(state.buckets.range().size() / block_elements));
  for (int rank = 0; rank < host_.size(); ++rank) {
    const double* at = data;
    for (int64_t microbatch = 0; microbatch < microbatch_counts[static_cast<size_t>(rank)]; ++microbatch)
      for (double& scalar : sums.scalars) scalar += *at++;
    for (size_t bucket = 0; bucket < state.buckets.count(); ++bucket) {
      const IndexRange slice = state.buckets.slice(bucket, rank);
      std::copy(at, at + slice.size() / block_elements,
                all_squares.begin() + (slice.first - state.buckets.range().first) / block_elements);
      at += slice.size() / block_elements;
    }
    sums.rank_status.emplace_back(at, at + status.size());
    data += counts[static_cast<size_t>(rank)];
  }
  sums.gradient_norm = std::sqrt(canonical_sum(all_squares));
  return sums;
}

// A rank without leaves learns here what the others report, once.
void GradientReducer::agree_on_form(PhaseState& state) {
  if (state.form_agreed) return;
  const LocalGradients::Form& form = sums_.form(state.phase);
  int owner = 0;
  while (!partition({0, options_.microbatches}, owner, host_.size()).contains(0)) ++owner;
  state.names = split(broadcast_text(host_, join(form.names, ","), owner), ',');
  torch::Tensor size = torch::tensor(form.statistics);
  host_.broadcast(size, owner);
  state.statistics_size = size.item<int64_t>();
  state.form_agreed = true;
}

// Statistics are few beside the gradients, and every rank needs all of them: they go whole.
torch::Tensor GradientReducer::sum_statistics(PhaseState& state) {
  if (state.statistics_size == 0) return {};
  return sum_over_ranks(host_, sums_.statistics(state.phase), options_.microbatches, {state.statistics_size},
                        torch::kFloat32);
}

std::vector<torch::Tensor> GradientReducer::shard(size_t phase) {
  const Buckets& buckets = phases_[phase]->buckets;
  std::vector<torch::Tensor> pieces;
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    const IndexRange slice = buckets.slice(bucket, host_.rank());
    pieces.push_back(flat_parameters_.values().narrow(0, slice.first, slice.size()));
  }
  return pieces;
}

const Buckets& GradientReducer::buckets(size_t phase) const { return phases_[phase]->buckets; }

const std::vector<torch::Tensor>& GradientReducer::gradient(size_t phase) const {
  return phases_[phase]->gradient;
}

void GradientReducer::all_gather_parameters(size_t phase) {
  if (!options_.exact) return;
  const Buckets& buckets = phases_[phase]->buckets;
  std::vector<std::unique_ptr<Work>> transfers;
  transfers.reserve(buckets.count());
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket)
    transfers.push_back(device_comm_.start_all_gather(
        flat_parameters_.values().narrow(0, buckets[bucket].first, buckets[bucket].size()),
        buckets.shard_sizes(bucket)));
  for (const auto& transfer : transfers) transfer->wait();
}

torch::Tensor GradientReducer::select(size_t phase, const torch::Tensor& whole) const {
  const Buckets& buckets = phases_[phase]->buckets;
  std::vector<torch::Tensor> pieces;
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    const IndexRange slice = buckets.slice(bucket, host_.rank());
    pieces.push_back(whole.narrow(0, slice.first - buckets.range().first, slice.size()));
  }
  return torch::cat(pieces);
}

torch::Tensor GradientReducer::gather(size_t phase, const torch::Tensor& shard) const {
  const Buckets& buckets = phases_[phase]->buckets;
  const int64_t begin = buckets.range().first;
  torch::Tensor all = torch::empty({buckets.range().size()}, shard.options());
  int64_t offset = 0;
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    const IndexRange slice = buckets.slice(bucket, host_.rank());
    all.narrow(0, slice.first - begin, slice.size()).copy_(shard.narrow(0, offset, slice.size()));
    offset += slice.size();
    if (!options_.exact) continue;
    torch::Tensor values = all.narrow(0, buckets[bucket].first - begin, buckets[bucket].size());
    device_comm_.all_gather(values, buckets.shard_sizes(bucket));
  }
  return all;
}

}  // namespace elbo
