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

// Runs an action at the end of its scope, also during stack unwinding.
template <typename Action>
class ScopeExit {
 public:
  explicit ScopeExit(Action action) : action_(std::move(action)) {}
  ~ScopeExit() { action_(); }
  ScopeExit(const ScopeExit&) = delete;
  ScopeExit& operator=(const ScopeExit&) = delete;

 private:
  Action action_;
};

// The backward pass calls it, in its thread, when it has computed a parameter's gradient.
class GradientHook final : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit GradientHook(std::function<void()> call) : call_(std::move(call)) {}
  void operator()(const torch::Tensor&) override { call_(); }

 private:
  std::function<void()> call_;
};

}  // namespace

struct LocalGradients::PhaseState {
  PhaseState(const Buckets& of_phase, TreeReducer of_workers)
      : buckets(of_phase), reducer(std::move(of_workers)) {}

  // Elements relative to the phase's range, as in the accumulators.
  IndexRange relative(IndexRange elements) const {
    return {elements.first - buckets.range().first, elements.end - buckets.range().first};
  }

  Buckets buckets;
  // (parameters): the buckets that overlap it, [first, end); none if the parameter is not the phase's.
  std::vector<std::pair<size_t, size_t>> buckets_of;
  std::vector<int64_t> parameters_in;      // (buckets): number of parameters that overlap it
  std::vector<TreeAccumulator> gradients;  // (workers)
  // (workers); created when a worker first reports statistics.
  std::vector<std::optional<TreeAccumulator>> statistics;
  TreeReducer reducer;
  ReportLayout layout;
};

LocalGradients::LocalGradients(Workers& workers, const FlatParameters& flat_parameters,
                               std::vector<std::vector<torch::Tensor>> replicas,
                               const std::vector<Buckets>& phases, IndexRange local_microbatches,
                               int64_t microbatches)
    : workers_(workers),
      flat_parameters_(flat_parameters),
      local_microbatches_(local_microbatches),
      microbatches_(microbatches),
      active_(replicas.size()),
      scalars_(static_cast<size_t>(local_microbatches.size())) {
  std::vector<IndexRange> of_workers;
  of_workers.reserve(static_cast<size_t>(workers.count()));
  for (int worker = 0; worker < workers.count(); ++worker) of_workers.push_back(worker_microbatches(worker));
  for (const Buckets& buckets : phases) {
    auto state = std::make_unique<PhaseState>(
        buckets, TreeReducer(local_microbatches, of_workers, microbatches, buckets.count()));
    state->parameters_in.resize(buckets.count());
    for (const FlatParameters::Item& item : flat_parameters.items()) {
      const bool belongs = item.offset >= buckets.range().first && item.offset < buckets.range().end;
      state->buckets_of.push_back(belongs ? buckets.overlapping({item.offset, item.offset + item.elements})
                                          : std::pair<size_t, size_t>{0, 0});
      for (size_t bucket = state->buckets_of.back().first; bucket < state->buckets_of.back().second; ++bucket)
        ++state->parameters_in[bucket];
    }
    for (int worker = 0; worker < workers.count(); ++worker)
      state->gradients.emplace_back(microbatches, buckets.range().size(), flat_parameters.values().options());
    state->statistics.resize(static_cast<size_t>(workers.count()));
    phases_.push_back(std::move(state));
  }
  for (size_t worker = 0; worker < replicas.size(); ++worker) {
    active_[worker].parameters = std::move(replicas[worker]);
    register_hooks(static_cast<int>(worker));
  }
}

LocalGradients::~LocalGradients() {
  for (const ActiveMicrobatch& active : active_)
    for (const torch::Tensor& parameter : active.parameters)
      torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
}

void LocalGradients::register_hooks(int worker) {
  const std::vector<torch::Tensor>& parameters = active_[static_cast<size_t>(worker)].parameters;
  for (size_t i = 0; i < parameters.size(); ++i)
    torch::autograd::impl::set_post_acc_grad_hooks(parameters[i],
                                                   std::make_unique<GradientHook>([this, worker, i] {
                                                     if (current_ == nullptr) return;
                                                     accumulate(worker, i);
                                                     if (worker == 0) (*advance_)();
                                                   }));
}

void LocalGradients::compute(size_t phase, const Task& task, const std::function<bool()>& advance) {
  reset(*phases_[phase]);
  current_ = phases_[phase].get();
  advance_ = &advance;
  const ScopeExit done([this] {
    current_ = nullptr;
    advance_ = nullptr;
  });
  std::atomic<int> computing = workers_.count();
  workers_.run([&](int worker) {
    const ScopeExit left([&] { --computing; });
    const IndexRange microbatches = worker_microbatches(worker);
    const GradientSums::Use sums(active_[static_cast<size_t>(worker)].sums);
    for (int64_t microbatch = microbatches.first; microbatch < microbatches.end; ++microbatch) {
      begin_microbatch(worker, microbatch);
      end_microbatch(worker, microbatch, task(worker, microbatch));
    }
    if (worker != 0) return;
    // Sleeps after some polls, because another worker may need the core.
    for (int64_t poll = 0; computing > 1 && !advance(); ++poll)
      poll < 100 ? std::this_thread::yield() : std::this_thread::sleep_for(std::chrono::microseconds(50));
  });
}

void LocalGradients::reset(PhaseState& state) {
  for (TreeAccumulator& accumulator : state.gradients) accumulator.reset();
  for (auto& accumulator : state.statistics)
    if (accumulator) accumulator->reset();
  state.reducer.reset();
}

void LocalGradients::begin_microbatch(int worker, int64_t microbatch) {
  ActiveMicrobatch& active = active_[static_cast<size_t>(worker)];
  TreeAccumulator& gradients = current_->gradients[static_cast<size_t>(worker)];
  gradients.open(microbatch);
  if (gradients.buffer().is_cpu()) {
    const IndexRange range = current_->buckets.range();
    active.sums.begin(flat_parameters_.values().const_data_ptr<float>() + range.first, range.size(),
                      gradients.buffer().mutable_data_ptr<float>(), gradients.accumulates());
  }
  active.is_last = microbatch + 1 == worker_microbatches(worker).end;
  active.accumulated.assign(active.parameters.size(), false);
  active.missing = current_->parameters_in;
}

void LocalGradients::accumulate(int worker, size_t parameter) {
  const torch::NoGradGuard no_grad;
  ActiveMicrobatch& active = active_[static_cast<size_t>(worker)];
  torch::Tensor& gradient = active.parameters[parameter].mutable_grad();
  const auto [first, end] = current_->buckets_of[parameter];
  if (first < end && gradient.defined() && active.accumulated[parameter])
    fail("a microbatch ran two backward passes; the gradients of the first are already accumulated");
  if (first < end && !active.accumulated[parameter]) {
    const TreeAccumulator& sums = current_->gradients[static_cast<size_t>(worker)];
    torch::Tensor target = FlatParameters::view(sums.buffer(), flat_parameters_.items()[parameter],
                                                current_->buckets.range().first);
    const bool added =
        sums.buffer().is_cpu() && active.sums.taken(active.parameters[parameter].const_data_ptr<float>());
    if (added) {
      // The layer's derivative did it.
    } else if (!gradient.defined()) {
      // Adds zeros, as if the gradient were zero: this turns -0.0 into +0.0.
      sums.accumulates() ? target.add_(0.0) : target.zero_();
    } else if (sums.accumulates()) {
      target.add_(gradient);
    } else {
      target.copy_(gradient);
    }
    active.accumulated[parameter] = true;
    for (size_t bucket = first; bucket < end; ++bucket)
      if (--active.missing[bucket] == 0) complete_bucket(worker, bucket);
  }
  gradient.reset();
}

void LocalGradients::complete_bucket(int worker, size_t bucket) {
  const auto index = static_cast<size_t>(worker);
  const IndexRange elements = current_->relative(current_->buckets[bucket]);
  current_->gradients[index].merge(elements.first, elements.end);
  const bool is_last = bucket + 1 == current_->buckets.count();  // see reduce_last_bucket()
  if (active_[index].is_last && !is_last)
    current_->reducer.arrive(index, bucket, elements.first, elements.end, current_->gradients);
}

void LocalGradients::end_microbatch(int worker, int64_t microbatch, MicrobatchReport report) {
  PhaseState& state = *current_;
  ActiveMicrobatch& active = active_[static_cast<size_t>(worker)];
  for (size_t parameter = 0; parameter < active.parameters.size(); ++parameter)
    if (!active.accumulated[parameter]) accumulate(worker, parameter);
  for (size_t bucket = 0; bucket < state.buckets.count(); ++bucket)
    if (state.parameters_in[bucket] == 0) complete_bucket(worker, bucket);

  if (report.statistics.defined()) {
    std::optional<TreeAccumulator>& sums = state.statistics[static_cast<size_t>(worker)];
    if (!sums) sums.emplace(microbatches_, report.statistics.numel());
    sums->add(microbatch, report.statistics.cpu());
  }
  scalars_[static_cast<size_t>(microbatch - local_microbatches_.first)] = std::move(report.scalars);
  // All microbatches have the same layout; one worker owns the rank's first and writes it.
  if (microbatch == local_microbatches_.first)
    state.layout = {std::move(report.names), report.statistics.defined() ? report.statistics.numel() : 0};
}

std::vector<std::vector<double>> LocalGradients::scalars() const {
  if (scalars_.empty()) return {};
  const torch::Tensor all = torch::stack(scalars_).cpu();
  std::vector<std::vector<double>> rows;
  rows.reserve(scalars_.size());
  const auto* next = all.const_data_ptr<double>();
  for (int64_t microbatch = 0; microbatch < all.size(0); ++microbatch, next += all.size(1))
    rows.emplace_back(next, next + all.size(1));
  return rows;
}

bool LocalGradients::complete(size_t phase, size_t bucket) const {
  return phases_[phase]->reducer.complete(bucket);
}

void LocalGradients::reduce_last_bucket(size_t phase) {
  const PhaseState& state = *phases_[phase];
  const IndexRange last = state.relative(state.buckets[state.buckets.count() - 1]);
  std::vector<PartialSum> parts;
  for (const TreeAccumulator& accumulator : state.gradients)
    parts.insert(parts.end(), accumulator.parts().begin(), accumulator.parts().end());
  for (const Node& node : maximal_subtrees(local_microbatches_, microbatches_))
    canonical_sum(node, narrowed(parts, last.first, last.end), workers_);
}

std::vector<PartialSum> LocalGradients::sums(size_t phase, IndexRange elements) const {
  const PhaseState& state = *phases_[phase];
  const IndexRange relative = state.relative(elements);
  return narrowed(state.reducer.sums(state.gradients), relative.first, relative.end);
}

const LocalGradients::ReportLayout& LocalGradients::report_layout(size_t phase) const {
  return phases_[phase]->layout;
}

std::vector<PartialSum> LocalGradients::statistics(size_t phase) {
  std::vector<PartialSum> parts;
  for (const auto& accumulator : phases_[phase]->statistics)
    if (accumulator) parts.insert(parts.end(), accumulator->parts().begin(), accumulator->parts().end());
  std::vector<PartialSum> own;
  for (const Node& node : maximal_subtrees(local_microbatches_, microbatches_))
    own.push_back({node, canonical_sum(node, parts)});
  return own;
}

}  // namespace elbo
