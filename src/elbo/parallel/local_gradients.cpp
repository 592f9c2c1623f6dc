#include "elbo/parallel/local_gradients.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "elbo/base/error.h"

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

}  // namespace

struct LocalGradients::PhaseState {
  PhaseState(const Buckets& all, TreeReducer of_workers) : buckets(all), joins(std::move(of_workers)) {}

  // Elements counted from the beginning of the phase's range, as accumulators do.
  IndexRange within(IndexRange elements) const {
    return {elements.first - buckets.range().first, elements.end - buckets.range().first};
  }

  Buckets buckets;
  std::vector<std::pair<size_t, size_t>> buckets_of;  // of each parameter; none where it is not the phase's
  std::vector<int64_t> parameters_in;                 // each bucket
  std::vector<GradientAccumulator> workers;               // sums of each worker's leaves
  std::vector<std::optional<GradientAccumulator>> statistics;  // likewise, from a worker's first leaf with some
  TreeReducer joins;
  Form form;
};

LocalGradients::LocalGradients(Workers& workers, const FlatParameters& flat_parameters, std::vector<std::vector<torch::Tensor>> replicas,
                   const std::vector<Buckets>& phases, IndexRange of_rank, int64_t microbatches)
    : workers_(workers),
      flat_parameters_(flat_parameters),
      of_rank_(of_rank),
      microbatches_(microbatches),
      open_(replicas.size()),
      scalars_(static_cast<size_t>(of_rank.size())) {
  std::vector<IndexRange> of_workers;
  of_workers.reserve(static_cast<size_t>(workers.count()));
  for (int worker = 0; worker < workers.count(); ++worker) of_workers.push_back(microbatches_of_worker(worker));
  for (const Buckets& buckets : phases) {
    auto state = std::make_unique<PhaseState>(buckets, TreeReducer(of_rank, of_workers, microbatches, buckets.count()));
    state->parameters_in.resize(buckets.count());
    for (const FlatParameters::Item& item : flat_parameters.items()) {
      const bool belongs = item.offset >= buckets.range().first && item.offset < buckets.range().end;
      state->buckets_of.push_back(belongs ? buckets.holding({item.offset, item.offset + item.elements})
                                          : std::pair<size_t, size_t>{0, 0});
      for (size_t bucket = state->buckets_of.back().first; bucket < state->buckets_of.back().second; ++bucket)
        ++state->parameters_in[bucket];
    }
    for (int worker = 0; worker < workers.count(); ++worker)
      state->workers.emplace_back(microbatches, buckets.range().size(), flat_parameters.values().device());
    state->statistics.resize(static_cast<size_t>(workers.count()));
    phases_.push_back(std::move(state));
  }
  for (size_t worker = 0; worker < replicas.size(); ++worker) {
    open_[worker].parameters = std::move(replicas[worker]);
    hook_in(static_cast<int>(worker));
  }
}

LocalGradients::~LocalGradients() {
  for (const Open& open : open_)
    for (const torch::Tensor& parameter : open.parameters)
      torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
}

void LocalGradients::hook_in(int worker) {
  const std::vector<torch::Tensor>& parameters = open_[static_cast<size_t>(worker)].parameters;
  for (size_t i = 0; i < parameters.size(); ++i)
    torch::autograd::impl::set_post_acc_grad_hooks(parameters[i], std::make_unique<Hook>([this, worker, i] {
                                                     if (current_ == nullptr) return;
                                                     take(worker, i);
                                                     if (worker == 0) (*advance_)();
                                                   }));
}

void LocalGradients::compute(size_t phase, const Task& task, const std::function<bool()>& advance) {
  begin(*phases_[phase]);
  current_ = phases_[phase].get();
  advance_ = &advance;
  const OnLeaving done([this] {
    current_ = nullptr;
    advance_ = nullptr;
  });
  std::atomic<int> computing = workers_.count();
  workers_.run([&](int worker) {
    const OnLeaving left([&] { --computing; });
    const IndexRange microbatches = microbatches_of_worker(worker);
    for (int64_t microbatch = microbatches.first; microbatch < microbatches.end; ++microbatch) {
      open(worker, microbatch);
      close(worker, microbatch, task(worker, microbatch));
    }
    if (worker != 0) return;
    // The others may take long, and somebody may need the core.
    for (int64_t turn = 0; computing > 1 && !advance(); ++turn)
      turn < 100 ? std::this_thread::yield() : std::this_thread::sleep_for(std::chrono::microseconds(50));
  });
}

void LocalGradients::begin(PhaseState& state) {
  for (GradientAccumulator& accumulator : state.workers) accumulator.reset();
  for (auto& accumulator : state.statistics)
    if (accumulator) accumulator->reset();
  state.joins.reset();
}

void LocalGradients::open(int worker, int64_t microbatch) {
  Open& open = open_[static_cast<size_t>(worker)];
  current_->workers[static_cast<size_t>(worker)].open(microbatch);
  open.last = microbatch + 1 == microbatches_of_worker(worker).end;
  open.taken.assign(open.parameters.size(), false);
  open.missing = current_->parameters_in;
}

void LocalGradients::take(int worker, size_t parameter) {
  const torch::NoGradGuard no_grad;
  Open& open = open_[static_cast<size_t>(worker)];
  torch::Tensor& gradient = open.parameters[parameter].mutable_grad();
  const auto [first, end] = current_->buckets_of[parameter];
  if (first < end && gradient.defined() && open.taken[parameter])
    fail("two backward passes in one leaf: the gradients of the second come too late");
  if (first < end && !open.taken[parameter]) {
    const GradientAccumulator& sums = current_->workers[static_cast<size_t>(worker)];
    torch::Tensor target =
        FlatParameters::view(sums.buffer(), flat_parameters_.items()[parameter], current_->buckets.range().first);
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
      if (--open.missing[bucket] == 0) add_up(worker, bucket);
  }
  gradient.reset();
}

void LocalGradients::add_up(int worker, size_t bucket) {
  const auto own = static_cast<size_t>(worker);
  const IndexRange elements = current_->within(current_->buckets[bucket]);
  current_->workers[own].merge(elements.first, elements.end);
  const bool is_last = bucket + 1 == current_->buckets.count();  // see join_last_bucket
  if (open_[own].last && !is_last)
    current_->joins.arrive(own, bucket, elements.first, elements.end, current_->workers);
}

void LocalGradients::close(int worker, int64_t microbatch, MicrobatchReport report) {
  PhaseState& state = *current_;
  Open& open = open_[static_cast<size_t>(worker)];
  for (size_t parameter = 0; parameter < open.parameters.size(); ++parameter)
    if (!open.taken[parameter]) take(worker, parameter);
  for (size_t bucket = 0; bucket < state.buckets.count(); ++bucket)
    if (state.parameters_in[bucket] == 0) add_up(worker, bucket);

  if (report.statistics.defined()) {
    std::optional<GradientAccumulator>& sums = state.statistics[static_cast<size_t>(worker)];
    const int64_t size = report.statistics.numel();
    if (!sums) sums.emplace(microbatches_, size, torch::kCPU);
    sums->open(microbatch);
    sums->accumulates() ? sums->buffer().add_(report.statistics.cpu())
                        : sums->buffer().copy_(report.statistics);
    sums->merge(0, size);
  }
  scalars_[static_cast<size_t>(microbatch - of_rank_.first)] = std::move(report.scalars);
  // All leaves report in one form; the rank's first leaf, which one worker owns, speaks for all.
  if (microbatch == of_rank_.first)
    state.form = {std::move(report.names), report.statistics.defined() ? report.statistics.numel() : 0};
}

bool LocalGradients::complete(size_t phase, size_t bucket) const { return phases_[phase]->joins.complete(bucket); }

void LocalGradients::join_last_bucket(size_t phase) {
  const PhaseState& state = *phases_[phase];
  const IndexRange last = state.within(state.buckets[state.buckets.count() - 1]);
  std::vector<Part> parts;
  for (const GradientAccumulator& accumulator : state.workers)
    parts.insert(parts.end(), accumulator.parts().begin(), accumulator.parts().end());
  for (const Node& node : maximal_subtrees(of_rank_, microbatches_))
    canonical_sum(node, narrowed(parts, last.first, last.end), workers_);
}

std::vector<Part> LocalGradients::sums(size_t phase, IndexRange elements) const {
  const PhaseState& state = *phases_[phase];
  const IndexRange within = state.within(elements);
  return narrowed(state.joins.sums(state.workers), within.first, within.end);
}

const LocalGradients::Form& LocalGradients::form(size_t phase) const { return phases_[phase]->form; }

std::vector<Part> LocalGradients::statistics(size_t phase) {
  std::vector<Part> parts;
  for (const auto& accumulator : phases_[phase]->statistics)
    if (accumulator) parts.insert(parts.end(), accumulator->parts().begin(), accumulator->parts().end());
  std::vector<Part> own;
  for (const Node& node : maximal_subtrees(of_rank_, microbatches_))
    own.push_back({node, canonical_sum(node, parts)});
  return own;
}

}  // namespace elbo
