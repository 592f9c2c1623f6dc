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

std::vector<Buckets> make_buckets(const FlatParameters& flat_parameters, size_t phases, const Levels& levels,
                                  const GradientReducerOptions& options) {
  std::vector<Buckets> result;
  for (size_t phase = 0; phase < phases; ++phase) {
    const IndexRange range = flat_parameters.range(phase);
    std::vector<int64_t> parameters;
    for (const FlatParameters::Item& item : flat_parameters.items())
      if (item.offset >= range.first && item.offset < range.end) parameters.push_back(item.offset);
    result.emplace_back(range, parameters, levels.sizes(), options.bucket_bytes, !options.exact);
  }
  return result;
}

}  // namespace

struct GradientReducer::PhaseState {
  PhaseState(size_t index, const Buckets& of_phase)
      : phase(index), buckets(of_phase), gradient(of_phase.count()) {}

  size_t phase;
  const Buckets& buckets;
  size_t started = 0;                              // buckets whose reduction has started
  std::vector<ReduceScatter> reductions;           // (buckets)
  std::vector<std::unique_ptr<Work>> all_reduces;  // (buckets), in place of reductions unless options.exact
  std::vector<torch::Tensor> gradient;             // (buckets): this rank's shard
  std::vector<std::string> names;                  // of the scalars
  int64_t statistics_size = 0;
  bool layout_agreed = false;  // names and statistics_size are known
};

GradientReducer::GradientReducer(const Levels& cpu, const Levels& device, Workers& workers,
                                 FlatParameters& flat_parameters,
                                 std::vector<std::vector<torch::Tensor>> replicas, size_t phases,
                                 const GradientReducerOptions& options)
    : cpu_(cpu),
      device_(device),
      workers_(workers),
      flat_parameters_(flat_parameters),
      options_(options),
      buckets_(make_buckets(flat_parameters, phases, device, options)),
      local_(workers, flat_parameters, std::move(replicas), buckets_, local_microbatches(),
             options.microbatches),
      level_sums_(sums_of_levels(device, options.microbatches)),
      gather_(device_, flat_parameters.values()),
      waited_seconds_(static_cast<size_t>(workers.count())) {
  for (size_t phase = 0; phase < phases; ++phase) {
    phases_.push_back(std::make_unique<PhaseState>(phase, buckets_[phase]));
    PhaseState& state = *phases_.back();
    for (size_t bucket = 0; bucket < state.buckets.count(); ++bucket)
      state.reductions.emplace_back(device_, level_sums_, state.buckets[bucket].size(),
                                    flat_parameters.values().options());
  }
}

GradientReducer::~GradientReducer() = default;

void GradientReducer::compute(size_t phase, const LocalGradients::Task& task) {
  PhaseState& state = *phases_[phase];
  state.started = 0;
  state.all_reduces.clear();
  since_first_bucket_.reset();
  since_start_.lap();
  forward_seconds_.reset();
  local_.compute(phase, task, [&] { return advance(state); });
  overlapped_seconds_ = since_first_bucket_ ? since_first_bucket_->lap() : 0;
}

bool GradientReducer::advance(PhaseState& state) {
  if (!forward_seconds_) forward_seconds_ = since_start_.seconds();
  const std::lock_guard lock(communicating_);
  gather_.poll();
  const size_t early = state.buckets.count() - 1;
  while (state.started < early && local_.complete(state.phase, state.started)) start_next_bucket(state);
  if (cpu_.size() == 1) return state.started == early;
  if (!options_.exact) {
    for (size_t bucket = 0; bucket < state.started; ++bucket)
      if (!state.all_reduces[bucket]->done()) return false;
    return state.started == early;
  }
  // A communicator starts the buckets in the same order on all ranks.
  size_t level = device_.count();  // that the bucket before has reached
  bool done = true;
  for (size_t bucket = 0; bucket < state.started; ++bucket) {
    ReduceScatter& reduction = state.reductions[bucket];
    while (!reduction.last() && reduction.level() < level && reduction.done()) reduction.next(nullptr);
    done = reduction.last() && reduction.done() && done;
    level = reduction.level();
  }
  return done && state.started == early;
}

void GradientReducer::start_next_bucket(PhaseState& state) {
  const size_t bucket = state.started++;
  const torch::NoGradGuard no_grad;
  std::vector<PartialSum> own = local_.sums(state.phase, state.buckets[bucket]);
  if (cpu_.size() > 1 && !since_first_bucket_) since_first_bucket_.emplace();
  if (options_.exact) return state.reductions[bucket].start(std::move(own));
  // The sum of what this rank has; nothing where it has no microbatches.
  torch::Tensor& sum = state.gradient[bucket];
  sum = own.empty() ? torch::zeros({state.buckets[bucket].size()}, flat_parameters_.values().options())
                    : own.front().sum;
  for (size_t i = 1; i < own.size(); ++i) sum.add_(own[i].sum);
  state.all_reduces.push_back(device_.world().start_all_reduce(sum, ReduceOp::sum));
}

void GradientReducer::sum_buckets(PhaseState& state) {
  while (state.started < state.buckets.count()) start_next_bucket(state);
  if (!options_.exact) {
    for (const auto& work : state.all_reduces) work->wait();
    return;
  }
  for (ReduceScatter& reduction : state.reductions)
    while (!reduction.last()) reduction.next(&workers_);
  for (size_t bucket = 0; bucket < state.buckets.count(); ++bucket)
    state.gradient[bucket] = state.reductions[bucket].finish(workers_);
}

StepSums GradientReducer::finish(size_t phase, const std::vector<double>& status,
                                 std::vector<double> block_sums) {
  const torch::NoGradGuard no_grad;
  PhaseState& state = *phases_[phase];
  await_all_parameters();
  local_.reduce_last_bucket(phase);
  sum_buckets(state);
  agree_on_report_layout(state);
  std::vector<double> squares;  // of the blocks of this rank's shards
  for (const torch::Tensor& gradient : state.gradient) {
    const std::vector<double> more = block_square_sums(gradient, workers_);
    squares.insert(squares.end(), more.begin(), more.end());
  }
  block_sums.resize(squares.size(), -1.0);
  return gather_scalars(state, squares, block_sums, status);
}

void GradientReducer::place_blocks(const Buckets& buckets, int rank, const double* at,
                                   std::vector<double>& range) const {
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    const IndexRange shard = buckets.shard(bucket, rank);
    std::copy_n(at, shard.size() / block_elements,
                range.begin() + (shard.first - buckets.range().first) / block_elements);
    at += shard.size() / block_elements;
  }
}

// One all-gather carries the scalars of all microbatches, two numbers of each block and the status of all
// ranks.
StepSums GradientReducer::gather_scalars(PhaseState& state, const std::vector<double>& squares,
                                         const std::vector<double>& block_sums,
                                         const std::vector<double>& status) {
  const size_t width = state.names.size();
  std::vector<double> mine;
  for (const std::vector<double>& microbatch : local_.scalars())
    mine.insert(mine.end(), microbatch.begin(), microbatch.end());
  mine.insert(mine.end(), squares.begin(), squares.end());
  mine.insert(mine.end(), block_sums.begin(), block_sums.end());
  mine.insert(mine.end(), status.begin(), status.end());

  std::vector<int64_t> counts;  // of each rank
  const auto microbatches_of = [&](int rank) {
    return partition({0, options_.microbatches}, rank, cpu_.size()).size();
  };
  counts.reserve(static_cast<size_t>(cpu_.size()));
  for (int rank = 0; rank < cpu_.size(); ++rank)
    counts.push_back(microbatches_of(rank) * static_cast<int64_t>(width) +
                     2 * (state.buckets.shard_elements(rank) / block_elements) +
                     static_cast<int64_t>(status.size()));
  std::vector<const double*> from(counts.size());  // what each rank sent
  torch::Tensor all =
      torch::empty({std::accumulate(counts.begin(), counts.end(), int64_t{0})}, torch::kFloat64);
  auto* next = all.mutable_data_ptr<double>();
  for (const int rank : cpu_.order()) {
    from[static_cast<size_t>(rank)] = next;
    if (rank == cpu_.rank()) std::ranges::copy(mine, next);
    next += counts[static_cast<size_t>(rank)];
  }
  cpu_.all_gather(all, counts);

  StepSums sums{.names = state.names,
                .scalars = std::vector<double>(width, 0.0),
                .gradient_norm = 0,
                .statistics = sum_statistics(state),
                .rank_status = {},
                .block_sums = {}};
  std::vector<double> all_squares(static_cast<size_t>(state.buckets.range().size() / block_elements));
  sums.block_sums.resize(all_squares.size());
  for (int rank = 0; rank < cpu_.size(); ++rank) {
    const double* at = from[static_cast<size_t>(rank)];
    for (int64_t microbatch = 0; microbatch < microbatches_of(rank); ++microbatch)
      for (double& scalar : sums.scalars) scalar += *at++;
    for (std::vector<double>* const of_blocks : {&all_squares, &sums.block_sums}) {
      place_blocks(state.buckets, rank, at, *of_blocks);
      at += state.buckets.shard_elements(rank) / block_elements;
    }
    sums.rank_status.emplace_back(at, at + status.size());
  }
  sums.gradient_norm = std::sqrt(canonical_sum(all_squares));
  return sums;
}

// Broadcasts the layout of the reports once, because a rank without microbatches does not know it.
void GradientReducer::agree_on_report_layout(PhaseState& state) {
  if (state.layout_agreed) return;
  const LocalGradients::ReportLayout& layout = local_.report_layout(state.phase);
  int owner = 0;
  while (!partition({0, options_.microbatches}, owner, cpu_.size()).contains(0)) ++owner;
  state.names = split(broadcast_text(cpu_.world(), join(layout.names, ","), owner), ',');
  torch::Tensor size = torch::tensor(layout.statistics);
  cpu_.world().broadcast(size, owner);
  state.statistics_size = size.item<int64_t>();
  state.layout_agreed = true;
}

torch::Tensor GradientReducer::sum_statistics(PhaseState& state) {
  if (state.statistics_size == 0) return {};
  return sum_over_ranks(cpu_.world(), local_.statistics(state.phase), options_.microbatches,
                        {state.statistics_size}, torch::kFloat32);
}

std::vector<torch::Tensor> GradientReducer::shard(size_t phase) {
  const Buckets& buckets = phases_[phase]->buckets;
  std::vector<torch::Tensor> pieces;
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    const IndexRange own = buckets.shard(bucket, cpu_.rank());
    pieces.push_back(flat_parameters_.values().narrow(0, own.first, own.size()));
  }
  return pieces;
}

const Buckets& GradientReducer::buckets(size_t phase) const { return phases_[phase]->buckets; }

const std::vector<torch::Tensor>& GradientReducer::gradient(size_t phase) const {
  return phases_[phase]->gradient;
}

void GradientReducer::start_all_gather(size_t phase) {
  if (options_.exact && cpu_.size() > 1) gather_.start(phases_[phase]->buckets);
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
    const IndexRange own = buckets.shard(bucket, cpu_.rank());
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
    const IndexRange own = buckets.shard(bucket, cpu_.rank());
    all.narrow(0, own.first - begin, own.size()).copy_(shard.narrow(0, offset, own.size()));
    offset += own.size();
    if (!options_.exact) continue;
    device_.all_gather(all.narrow(0, buckets[bucket].first - begin, buckets[bucket].size()),
                       buckets.shard_sizes(bucket));
  }
  return all;
}

}  // namespace elbo
