#include "parallel/exchange.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/torch.h>

#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>

#include "base/error.h"
#include "base/text.h"
#include "parallel/block_norm.h"
#include "parallel/sum_over_ranks.h"

namespace elbo {
namespace {

// Does something at the end of its scope, come what may.
template <typename Action>
class OnLeaving {
 public:
  explicit OnLeaving(Action action) : action_(std::move(action)) {}
  ~OnLeaving() { action_(); }
  OnLeaving(const OnLeaving&) = delete;
  OnLeaving& operator=(const OnLeaving&) = delete;

 private:
  Action action_;
};

// Called by a backward pass, in its thread, when a parameter's gradient is there.
class Hook final : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit Hook(std::function<void()> call) : call_(std::move(call)) {}
  void operator()(const torch::Tensor&) override { call_(); }

 private:
  std::function<void()> call_;
};

std::vector<Part> narrowed(const std::vector<Part>& parts, ElementRange range) {
  std::vector<Part> result;
  result.reserve(parts.size());
  for (const Part& part : parts) result.push_back({part.node, part.sum.narrow(0, range.first, range.size())});
  return result;
}

}  // namespace

struct Exchange::PhaseState {
  PhaseState(const Buckets& all, Joins of_workers)
      : buckets(all),
        joins(std::move(of_workers)),
        transfers(all.count()),
        received(all.count()),
        gradient(all.count()) {}

  Buckets buckets;
  std::vector<std::pair<size_t, size_t>> buckets_of;  // of each parameter; none where it is not the phase's
  std::vector<int64_t> parameters_in;                 // each bucket
  std::vector<LeafAccumulator> workers;               // sums of each worker's leaves
  std::vector<std::optional<LeafAccumulator>> statistics;  // likewise, from a worker's first leaf with some
  Joins joins;
  size_t posted = 0;                                              // buckets that are on their way
  std::vector<std::vector<std::unique_ptr<Transfer>>> transfers;  // of each bucket
  std::vector<std::vector<torch::Tensor>> received;               // of each bucket, one a round
  std::vector<torch::Tensor> gradient;                            // of each bucket
  int64_t statistics_size = 0;
  std::vector<std::string> names;
  bool form_agreed = false;  // names and the size of the statistics
};

Exchange::Exchange(Communicator& host, Communicator& bulk, Workers& workers, Arena& arena,
                   std::vector<std::vector<torch::Tensor>> replicas, size_t phases,
                   const ExchangeOptions& options)
    : host_(host),
      bulk_(bulk),
      workers_(workers),
      arena_(arena),
      options_(options),
      open_(replicas.size()),
      scalars_(static_cast<size_t>(leaves_of_rank().size())) {
  std::vector<LeafRange> of_workers;
  of_workers.reserve(replicas.size());
  for (int worker = 0; worker < workers.count(); ++worker) of_workers.push_back(leaves_of_worker(worker));
  for (int rank = 0; rank < host_.size(); ++rank)
    subtrees_.push_back(
        maximal_subtrees(share_of({0, options_.leaves}, rank, host_.size()), options_.leaves));
  for (size_t phase = 0; phase < phases; ++phase) {
    const ElementRange range = arena.range(phase);
    std::vector<int64_t> parameters;
    for (const Arena::Item& item : arena.items())
      if (item.offset >= range.first && item.offset < range.end) parameters.push_back(item.offset);
    const Buckets buckets(range, parameters, host_.size(), options_.bucket_bytes, !options_.exact);
    auto state = std::make_unique<PhaseState>(
        buckets, Joins(leaves_of_rank(), of_workers, options_.leaves, buckets.count()));
    state->parameters_in.resize(buckets.count());
    for (const Arena::Item& item : arena.items()) {
      const bool belongs = item.offset >= range.first && item.offset < range.end;
      state->buckets_of.push_back(belongs ? buckets.holding({item.offset, item.offset + item.elements})
                                          : std::pair<size_t, size_t>{0, 0});
      for (size_t bucket = state->buckets_of.back().first; bucket < state->buckets_of.back().second; ++bucket)
        ++state->parameters_in[bucket];
    }
    for (int worker = 0; worker < workers.count(); ++worker)
      state->workers.emplace_back(options_.leaves, range.size(), arena.values().device());
    state->statistics.resize(static_cast<size_t>(workers.count()));
    phases_.push_back(std::move(state));
  }
  for (size_t worker = 0; worker < replicas.size(); ++worker) {
    open_[worker].parameters = std::move(replicas[worker]);
    hook_in(static_cast<int>(worker));
  }
}

Exchange::~Exchange() {
  for (const Open& open : open_)
    for (const torch::Tensor& parameter : open.parameters)
      torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
}

void Exchange::hook_in(int worker) {
  const std::vector<torch::Tensor>& parameters = open_[static_cast<size_t>(worker)].parameters;
  for (size_t i = 0; i < parameters.size(); ++i)
    torch::autograd::impl::set_post_acc_grad_hooks(parameters[i], std::make_unique<Hook>([this, worker, i] {
                                                     if (current_ == nullptr) return;
                                                     take(worker, i);
                                                     if (worker == 0) advance();
                                                   }));
}

void Exchange::compute(size_t phase, const Task& task) {
  PhaseState& state = *phases_[phase];
  begin(state);
  current_ = &state;
  const OnLeaving done([this] { current_ = nullptr; });
  std::atomic<int> computing = workers_.count();
  workers_.run([&](int worker) {
    const OnLeaving left([&] { --computing; });
    const LeafRange leaves = leaves_of_worker(worker);
    for (int64_t leaf = leaves.first; leaf < leaves.end; ++leaf) {
      open(worker, leaf);
      close(worker, leaf, task(worker, leaf));
    }
    if (worker != 0) return;
    // The others may take long, and somebody may need the core.
    for (int64_t turn = 0; computing > 1 && !advance(); ++turn)
      turn < 100 ? std::this_thread::yield() : std::this_thread::sleep_for(std::chrono::microseconds(50));
  });
  overlapped_seconds_ = under_way_ ? under_way_->lap() : 0;
}

void Exchange::begin(PhaseState& state) {
  for (LeafAccumulator& accumulator : state.workers) accumulator.reset();
  for (auto& accumulator : state.statistics)
    if (accumulator) accumulator->reset();
  state.joins.reset();
  state.posted = 0;
  under_way_.reset();
}

void Exchange::open(int worker, int64_t leaf) {
  Open& open = open_[static_cast<size_t>(worker)];
  current_->workers[static_cast<size_t>(worker)].open(leaf);
  open.last = leaf + 1 == leaves_of_worker(worker).end;
  open.taken.assign(open.parameters.size(), false);
  open.missing = current_->parameters_in;
}

void Exchange::take(int worker, size_t parameter) {
  const torch::NoGradGuard no_grad;
  Open& open = open_[static_cast<size_t>(worker)];
  torch::Tensor& gradient = open.parameters[parameter].mutable_grad();
  const auto [first, end] = current_->buckets_of[parameter];
  if (first < end && gradient.defined() && open.taken[parameter])
    fail("two backward passes in one leaf: the gradients of the second come too late");
  if (first < end && !open.taken[parameter]) {
    const LeafAccumulator& sums = current_->workers[static_cast<size_t>(worker)];
    torch::Tensor target =
        Arena::view(sums.buffer(), arena_.items()[parameter], current_->buckets.range().first);
    if (!gradient.defined()) {
      // A leaf without a gradient has zeros, and to add them makes zeros that are negative positive.
      sums.accumulates() ? target.add_(0.0) : target.zero_();
    } else if (sums.accumulates()) {
      target.add_(gradient);
    } else {
      target.copy_(gradient);
    }
    open.taken[parameter] = true;
    for (size_t bucket = first; bucket < end; ++bucket)
      if (--open.missing[bucket] == 0) complete(worker, bucket);
  }
  gradient.reset();
}

void Exchange::complete(int worker, size_t bucket) {
  const auto own = static_cast<size_t>(worker);
  const int64_t begin = current_->buckets.range().first;
  const int64_t first = current_->buckets[bucket].first - begin, end = current_->buckets[bucket].end - begin;
  current_->workers[own].merge(first, end);
  const bool is_last = bucket + 1 == current_->buckets.count();  // see join_last_bucket
  if (open_[own].last && !is_last) current_->joins.arrive(own, bucket, first, end, current_->workers);
}

void Exchange::close(int worker, int64_t leaf, LeafReport report) {
  PhaseState& state = *current_;
  Open& open = open_[static_cast<size_t>(worker)];
  for (size_t parameter = 0; parameter < open.parameters.size(); ++parameter)
    if (!open.taken[parameter]) take(worker, parameter);
  for (size_t bucket = 0; bucket < state.buckets.count(); ++bucket)
    if (state.parameters_in[bucket] == 0) complete(worker, bucket);

  if (report.statistics.defined()) {
    std::optional<LeafAccumulator>& sums = state.statistics[static_cast<size_t>(worker)];
    const int64_t size = report.statistics.numel();
    if (!sums) sums.emplace(options_.leaves, size, torch::kCPU);
    sums->open(leaf);
    sums->accumulates() ? sums->buffer().add_(report.statistics.cpu())
                        : sums->buffer().copy_(report.statistics);
    sums->merge(0, size);
  }
  scalars_[static_cast<size_t>(leaf - leaves_of_rank().first)] = std::move(report.scalars);
  // All leaves report in one form; the rank's first leaf, which one worker owns, speaks for all.
  if (leaf == leaves_of_rank().first && !state.form_agreed) {
    state.names = std::move(report.names);
    state.statistics_size = report.statistics.defined() ? report.statistics.numel() : 0;
  }
}

bool Exchange::advance() {
  PhaseState& state = *current_;
  const size_t early = state.buckets.count() - 1;
  while (state.posted < early && state.joins.complete(state.posted)) post(state);
  for (size_t bucket = 0; bucket < state.posted; ++bucket)
    for (const auto& transfer : state.transfers[bucket])
      if (!transfer->done()) return false;
  return state.posted == early;
}

void Exchange::post(PhaseState& state) {
  const size_t bucket = state.posted++;
  state.transfers[bucket].clear();
  if (host_.size() == 1) return;
  const torch::NoGradGuard no_grad;
  if (!under_way_) under_way_.emplace();
  const ElementRange range = state.buckets[bucket];
  const std::vector<Part> own =
      narrowed(state.joins.sums(state.workers),
               {range.first - state.buckets.range().first, range.end - state.buckets.range().first});
  options_.exact ? post_slices(state, bucket, own) : post_reduction(state, bucket, own);
}

// Complete only when nothing is left to compute, so that all workers have time for it.
void Exchange::join_last_bucket(PhaseState& state) {
  const size_t last = state.buckets.count() - 1;
  const ElementRange bucket{state.buckets[last].first - state.buckets.range().first,
                            state.buckets[last].end - state.buckets.range().first};
  std::vector<Part> parts;
  for (const LeafAccumulator& accumulator : state.workers)
    parts.insert(parts.end(), accumulator.parts().begin(), accumulator.parts().end());
  for (const Node& node : subtrees_[static_cast<size_t>(host_.rank())])
    sum_in_parallel(node, narrowed(parts, bucket), bucket.size());
}

// In rounds: a rank whose leaves make several subtrees sends so many slices to each other.
void Exchange::post_slices(PhaseState& state, size_t bucket, const std::vector<Part>& own) {
  size_t rounds = 0;
  for (const std::vector<Node>& nodes : subtrees_) rounds = std::max(rounds, nodes.size());
  const int64_t mine = state.buckets.slice(bucket, host_.rank()).size();
  const torch::Tensor nothing = arena_.values().narrow(0, 0, 0);
  std::vector<torch::Tensor>& received = state.received[bucket];
  for (size_t round = 0; round < rounds; ++round) {
    const bool sending = round < own.size();
    Split split;
    split.send = sending ? state.buckets.slice_sizes(bucket) : std::vector<int64_t>(subtrees_.size(), 0);
    for (int rank = 0; rank < host_.size(); ++rank)
      split.receive.push_back(
          rank != host_.rank() && round < subtrees_[static_cast<size_t>(rank)].size() ? mine : 0);
    if (received.size() <= round)
      received.push_back(torch::empty(
          {std::accumulate(split.receive.begin(), split.receive.end(), int64_t{0})}, nothing.options()));
    state.transfers[bucket].push_back(
        bulk_.start_all_to_all(sending ? own[round].sum : nothing, received[round], split));
  }
}

void Exchange::post_reduction(PhaseState& state, size_t bucket, const std::vector<Part>& own) {
  std::vector<torch::Tensor>& received = state.received[bucket];
  if (own.empty()) {
    received = {torch::zeros({state.buckets[bucket].size()}, arena_.values().options())};
  } else {
    received = {own.front().sum};
    for (size_t i = 1; i < own.size(); ++i) received.front().add_(own[i].sum);
  }
  state.transfers[bucket].push_back(bulk_.start_all_reduce(received.front(), ReduceOp::sum));
}

torch::Tensor Exchange::sum_bucket(PhaseState& state, size_t bucket) {
  const std::vector<torch::Tensor>& received = state.received[bucket];
  if (!options_.exact && host_.size() > 1) return received.front();
  const ElementRange range = state.buckets.range(), slice = state.buckets.slice(bucket, host_.rank());
  const std::vector<Part> own =
      narrowed(state.joins.sums(state.workers), {slice.first - range.first, slice.end - range.first});
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
  return sum_in_parallel({0, options_.leaves}, parts, slice.size());
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

StepSums Exchange::finish(size_t phase, const std::vector<double>& notice) {
  const torch::NoGradGuard no_grad;
  PhaseState& state = *phases_[phase];
  join_last_bucket(state);
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
  for (const std::vector<double>& leaf : scalars_) mine.insert(mine.end(), leaf.begin(), leaf.end());
  mine.insert(mine.end(), squares.begin(), squares.end());
  mine.insert(mine.end(), notice.begin(), notice.end());

  std::vector<int64_t> counts;
  std::vector<int64_t> leaf_counts;
  for (int rank = 0; rank < host_.size(); ++rank) {
    leaf_counts.push_back(share_of({0, options_.leaves}, rank, host_.size()).size());
    counts.push_back(leaf_counts.back() * static_cast<int64_t>(width) +
                     state.buckets.elements_of(rank) / block_elements + static_cast<int64_t>(notice.size()));
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
  std::vector<double> all_squares(static_cast<size_t>(state.buckets.range().size() / block_elements));
  for (int rank = 0; rank < host_.size(); ++rank) {
    const double* at = data;
    for (int64_t leaf = 0; leaf < leaf_counts[static_cast<size_t>(rank)]; ++leaf)
      for (double& scalar : sums.scalars) scalar += *at++;
    for (size_t bucket = 0; bucket < state.buckets.count(); ++bucket) {
      const ElementRange slice = state.buckets.slice(bucket, rank);
      std::copy(at, at + slice.size() / block_elements,
                all_squares.begin() + (slice.first - state.buckets.range().first) / block_elements);
      at += slice.size() / block_elements;
    }
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
  while (!share_of({0, options_.leaves}, owner, host_.size()).contains(0)) ++owner;
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
  for (const Node& node : maximal_subtrees(leaves_of_rank(), options_.leaves))
    own.push_back({node, canonical_sum(node, parts)});
  return sum_over_ranks(host_, own, options_.leaves, {state.statistics_size}, torch::kFloat32);
}

std::vector<torch::Tensor> Exchange::owned(size_t phase) {
  const Buckets& buckets = phases_[phase]->buckets;
  std::vector<torch::Tensor> pieces;
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    const ElementRange slice = buckets.slice(bucket, host_.rank());
    pieces.push_back(arena_.values().narrow(0, slice.first, slice.size()));
  }
  return pieces;
}

const Buckets& Exchange::buckets(size_t phase) const { return phases_[phase]->buckets; }

const std::vector<torch::Tensor>& Exchange::gradient(size_t phase) const { return phases_[phase]->gradient; }

void Exchange::publish(size_t phase) {
  if (!options_.exact) return;
  const Buckets& buckets = phases_[phase]->buckets;
  std::vector<std::unique_ptr<Transfer>> transfers;
  transfers.reserve(buckets.count());
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket)
    transfers.push_back(
        bulk_.start_all_gather(arena_.values().narrow(0, buckets[bucket].first, buckets[bucket].size()),
                               buckets.slice_sizes(bucket)));
  for (const auto& transfer : transfers) transfer->wait();
}

torch::Tensor Exchange::select(size_t phase, const torch::Tensor& whole) const {
  const Buckets& buckets = phases_[phase]->buckets;
  std::vector<torch::Tensor> pieces;
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    const ElementRange slice = buckets.slice(bucket, host_.rank());
    pieces.push_back(whole.narrow(0, slice.first - buckets.range().first, slice.size()));
  }
  return torch::cat(pieces);
}

torch::Tensor Exchange::gather(size_t phase, const torch::Tensor& owned) const {
  const Buckets& buckets = phases_[phase]->buckets;
  const int64_t begin = buckets.range().first;
  torch::Tensor all = torch::empty({buckets.range().size()}, owned.options());
  int64_t offset = 0;
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    const ElementRange slice = buckets.slice(bucket, host_.rank());
    all.narrow(0, slice.first - begin, slice.size()).copy_(owned.narrow(0, offset, slice.size()));
    offset += slice.size();
    if (!options_.exact) continue;
    torch::Tensor values = all.narrow(0, buckets[bucket].first - begin, buckets[bucket].size());
    bulk_.all_gather(values, buckets.slice_sizes(bucket));
  }
  return all;
}

}  // namespace elbo
