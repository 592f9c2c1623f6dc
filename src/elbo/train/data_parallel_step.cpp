#include "elbo/train/data_parallel_step.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>

#include "elbo/base/error.h"
#include "elbo/base/random.h"
#include "elbo/base/stopwatch.h"
#include "elbo/nn/hooked_module.h"
#include "elbo/nn/precision.h"
#include "elbo/run/broadcast_checkpoint.h"

namespace elbo {
namespace {

// RankStatus and times as the numbers that travel, each at one place.
struct Place {
  enum : size_t { stop, save, piece, data_wait, compute, forward, overlapped, count };
};

std::vector<double> as_numbers(const RankStatus& status, double compute_seconds, double forward_seconds,
                               double overlapped_seconds) {
  std::vector<double> numbers(Place::count);
  numbers[Place::stop] = status.stop ? 1 : 0;
  numbers[Place::save] = status.save ? 1 : 0;
  numbers[Place::piece] = status.piece ? 1 : 0;
  numbers[Place::data_wait] = status.data_wait;
  numbers[Place::compute] = compute_seconds;
  numbers[Place::forward] = forward_seconds;
  numbers[Place::overlapped] = overlapped_seconds;
  return numbers;
}

// Adds one phase's status of all ranks to the report.
void add_status(const std::vector<std::vector<double>>& ranks, StepReport& report) {
  report.ranks.resize(ranks.size());
  for (size_t i = 0; i < ranks.size(); ++i) {
    const std::vector<double>& rank = ranks[i];
    report.stop |= rank[Place::stop] > 0;
    report.save |= rank[Place::save] > 0;
    report.piece |= rank[Place::piece] > 0;
    report.data_wait = std::max(report.data_wait, rank[Place::data_wait]);
    report.ranks[i].data_wait = rank[Place::data_wait];
    report.ranks[i].compute += rank[Place::compute];  // of all phases
  }
  const auto [fastest, slowest] = std::ranges::minmax_element(
      ranks, {}, [](const std::vector<double>& rank) { return rank[Place::compute]; });
  StepSeconds& seconds = report.seconds;
  seconds.compute += (*slowest)[Place::compute];
  seconds.forward += (*slowest)[Place::forward];
  seconds.overlapped += (*slowest)[Place::overlapped];
  seconds.fastest += (*fastest)[Place::compute];
  seconds.rank_0 += ranks.front()[Place::compute];
  seconds.slowest_rank = static_cast<int>(slowest - ranks.begin());
}

std::vector<std::vector<torch::Tensor>> parameters_of(const std::vector<std::shared_ptr<Model>>& replicas) {
  std::vector<std::vector<torch::Tensor>> parameters;
  parameters.reserve(replicas.size());
  for (const auto& replica : replicas) parameters.push_back(replica->parameters());
  return parameters;
}

// Rank 0's parameters and buffers in all replicas of all ranks, the parameters in one buffer of each rank.
// Ranks have different numbers of replicas, so only the first takes part in collectives.
FlatParameters flatten(Communicator& comm, const std::vector<std::shared_ptr<Model>>& replicas,
                       const std::vector<Phase>& phases) {
  const torch::NoGradGuard no_grad;
  FlatParameters flat_parameters(*replicas.front(), phases);
  comm.broadcast(flat_parameters.values(), 0);
  for (const auto& replica : replicas) flat_parameters.bind(*replica);
  std::vector<torch::Tensor> first = replicas.front()->buffers();
  for (torch::Tensor& buffer : first) comm.broadcast(buffer, 0);
  for (size_t i = 1; i < replicas.size(); ++i) {
    const std::vector<torch::Tensor> others = replicas[i]->buffers();
    for (size_t buffer = 0; buffer < first.size(); ++buffer) others[buffer].copy_(first[buffer]);
  }
  return flat_parameters;
}

}  // namespace

DataParallelStep::DataParallelStep(const Levels& cpu, const Levels& device, Workers& workers,
                                   std::vector<std::shared_ptr<Model>> replicas,
                                   const DataParallelOptions& options)
    : world_(cpu.world()),
      workers_(workers),
      replicas_(std::move(replicas)),
      options_(options),
      device_(replicas_.front()->parameters().front().device()),
      phases_(replicas_.front()->phases()),
      flat_parameters_(flatten(world_, replicas_, phases_)),
      packed_weights_(flat_parameters_.values().const_data_ptr<float>(), flat_parameters_.values().numel()),
      reducer_(cpu, device, workers, flat_parameters_, parameters_of(replicas_), phases_.size(),
               {.microbatches = options.batch / options.microbatch,
                .exact = options.exact,
                .bucket_bytes = options.bucket_bytes}),
      batches_(static_cast<size_t>(reducer_.local_microbatches().size())) {
  for (size_t phase = 0; phase < phases_.size(); ++phase)
    optimizers_.emplace_back(options_.optimizer, reducer_.shard(phase));
  hook_layers();
}

DataParallelStep::~DataParallelStep() {
  for (const auto& replica : replicas_)
    for (const auto& module : replica->modules())
      if (auto* layer = dynamic_cast<HookedModule*>(module.get())) layer->set_pre_hook({});
}

void DataParallelStep::hook_layers() {
  std::map<std::string, IndexRange> elements;
  for (const FlatParameters::Item& item : flat_parameters_.items())
    elements[item.name] = {item.offset, item.offset + item.elements};
  for (size_t worker = 0; worker < replicas_.size(); ++worker)
    for (const auto& module : replicas_[worker]->named_modules()) {
      std::vector<IndexRange> own;
      for (const auto& parameter : module.value()->named_parameters(false))
        own.push_back(
            elements.at(module.key().empty() ? parameter.key() : module.key() + "." + parameter.key()));
      if (own.empty()) continue;
      if (auto* layer = dynamic_cast<HookedModule*>(module.value().get())) {
        layer->set_pre_hook([this, all = IndexRange{own.front().first, own.back().end}, worker] {
          reducer_.await_parameters(all, static_cast<int>(worker));
        });
      } else if (worker == 0) {
        eager_.insert(eager_.end(), own.begin(), own.end());
      }
    }
}

StepReport DataParallelStep::take(int64_t step, const Data& data, const std::function<RankStatus()>& status) {
  StepReport report;
  StepSeconds& seconds = report.seconds;
  std::ranges::fill(batches_, Batch{});
  for (size_t phase = 0; phase < phases_.size(); ++phase) {
    if (!phases_[phase].active(step)) continue;
    Stopwatch watch;
    for (const IndexRange& elements : eager_) reducer_.await_parameters(elements);
    {
      const PackedFactors::Use shared(packed_weights_);
      reducer_.compute(phase, [&](int worker, int64_t microbatch) {
        return compute_microbatch(phase, step, microbatch, worker, data);
      });
    }
    const double waited = reducer_.take_waited_seconds();
    const double compute_seconds = watch.lap() - waited;
    reducer_.await_all_parameters();
    if (shares_parameters(phase)) optimizers_[phase].remember_values(reducer_.shard(phase));
    const StepSums sums = reducer_.finish(
        phase,
        as_numbers(status(), compute_seconds, std::max(0.0, reducer_.forward_seconds() - waited),
                   reducer_.overlapped_seconds()),
        optimizers_[phase].value_sums(reducer_.shard(phase)));
    seconds.exchange += watch.lap();
    update(phase, step, sums, report);
    seconds.update += watch.lap();
    reducer_.start_all_gather(phase);
    seconds.publish += watch.lap() + waited;
    if (report.finite && sums.statistics.defined())
      for (const auto& replica : replicas_)
        replica->update_statistics({phases_[phase].name, step, 0}, sums.statistics.to(device_));
  }
  if (device_.is_cuda() && world_.rank() == 0) report.memory = load_cuda().device_memory(device_);
  return report;
}

LossTerms DataParallelStep::objective(size_t phase, int64_t step, int64_t microbatch, Model& replica,
                                      const Batch& batch) const {
  RandomGenerator noise(Key(options_.seed)
                            .with("noise")
                            .with(static_cast<uint64_t>(step))
                            .with(static_cast<uint64_t>(microbatch))
                            .with(phases_[phase].name),
                        device_);
  const MatmulPrecision precision(options_.precision);
  return replica.objective({phases_[phase].name, step, microbatch}, batch, noise);
}

MicrobatchReport DataParallelStep::compute_microbatch(size_t phase, int64_t step, int64_t microbatch,
                                                      int worker, const Data& data) {
  Model& replica = *replicas_[static_cast<size_t>(worker)];
  Batch& batch = batches_[static_cast<size_t>(microbatch - local_microbatches().first)];
  // The step's first phase fetches it.
  if (!batch.x.defined()) batch = data(step, microbatch).to(device_);
  const LossTerms terms = objective(phase, step, microbatch, replica, batch);
  // The batch's mean is the sum over microbatches of their sums divided by B: every sample weighs the same.
  const torch::Tensor total = terms.loss.sum();
  total.backward(torch::full({}, 1.0 / static_cast<double>(options_.batch), total.options()));

  MicrobatchReport report{.names = {"loss"}, .scalars = {}, .statistics = terms.statistics};
  std::vector<torch::Tensor> scalars = {terms.loss.detach().sum(torch::kFloat64)};
  for (const auto& [name, value] : terms.parts) {
    report.names.push_back(name);
    scalars.push_back(value.detach().sum(torch::kFloat64));
  }
  report.scalars = torch::stack(scalars);
  return report;
}

void DataParallelStep::update(size_t phase, int64_t step, const StepSums& sums, StepReport& report) {
  const auto batch = static_cast<double>(options_.batch);
  const double loss = sums.scalars.front() / batch;
  for (size_t i = 1; i < sums.names.size(); ++i)
    report.terms.emplace_back(sums.names[i], sums.scalars[i] / batch);
  // The first phase's loss is the model's; an adversary's is among the terms.
  if (report.phases++ == 0) {
    report.phase = phases_[phase].name;
    report.loss = loss;
    report.gradient_norm = sums.gradient_norm;
  }
  add_status(sums.rank_status, report);
  report.lr = lr_factor_ * learning_rate(options_.optimizer, step, options_.end_step);
  const bool finite = std::isfinite(loss) && std::isfinite(sums.gradient_norm);
  const bool spike = finite && phase == 0 && loss > loss_limit_;
  report.spike |= spike;
  // A rank alone owns all values, which the update checks.
  if (world_.size() > 1 || !finite || spike) check_copies(phase, sums.block_sums);
  if (!finite || spike) {
    report.finite = false;
    return;
  }
  const double limit = options_.optimizer.clip_norm;
  const double scale = limit > 0 && sums.gradient_norm > limit ? limit / sums.gradient_norm : 1.0;
  optimizers_[phase].step(reducer_.shard(phase), reducer_.gradient(phase),
                          phases_[phase].lr_factor * report.lr, scale, step - phases_[phase].first_step + 1,
                          workers_);
}

void DataParallelStep::check_copies(size_t phase, const std::vector<double>& block_sums) {
  if (device_.is_cuda()) return;
  const IndexRange range = flat_parameters_.range(phase);
  const auto* values = flat_parameters_.values().const_data_ptr<float>();
  std::atomic<int64_t> damaged = damaged_copy_;
  workers_.run([&](int worker) {
    const IndexRange own = partition_blocks(range, worker, workers_.count());
    for (int64_t at = own.first; at < own.end; at += block_elements) {
      const double sum = block_sums[static_cast<size_t>((at - range.first) / block_elements)];
      if (sum >= 0 && sum != sum_of_bits(values + at, block_elements)) damaged = at;
    }
  });
  damaged_copy_ = damaged;
}

bool DataParallelStep::shares_parameters(size_t phase) const {
  for (size_t other = 0; other < phases_.size(); ++other)
    if (other != phase && flat_parameters_.range(other).overlaps(flat_parameters_.range(phase))) return true;
  return false;
}

template <typename Visit>
void DataParallelStep::for_each_state(size_t phase, const std::string& state, Visit&& visit) const {
  const IndexRange range = flat_parameters_.range(phase);
  for (const FlatParameters::Item& item : flat_parameters_.items())
    if (range.contains(item.offset))
      visit(fmt::format("{}/{}/{}", phases_[phase].name, state, item.name), item, range);
}

void DataParallelStep::load_optimizer(const Checkpoint& checkpoint, const std::string& where) {
  const torch::NoGradGuard no_grad;
  for (size_t phase = 0; phase < phases_.size(); ++phase)
    for (auto& [state, shard] : optimizers_[phase].states()) {
      torch::Tensor whole =
          torch::zeros({flat_parameters_.range(phase).size()}, flat_parameters_.values().options());
      for_each_state(phase, state, [&](const std::string& name, const auto& item, IndexRange range) {
        const auto saved = std::ranges::find(checkpoint.optimizer, name, &NamedTensor::first);
        if (saved == checkpoint.optimizer.end())
          fail("{}: its checkpoint lacks the optimizer state {}", where, name);
        torch::Tensor place = FlatParameters::view(whole, item, range.first);
        if (saved->second.sizes() != place.sizes())
          fail("{}: its checkpoint has the optimizer state {} in the shape ({}), expected ({})", where, name,
               fmt::join(saved->second.sizes(), ", "), fmt::join(place.sizes(), ", "));
        place.copy_(saved->second);
      });
      shard.copy_(reducer_.select(phase, whole));
    }
  for (size_t phase = 0; phase < phases_.size(); ++phase) optimizers_[phase].remember(reducer_.shard(phase));
  damaged_copy_ = -1;
}

void DataParallelStep::restore(const Checkpoint& checkpoint, const std::string& where) {
  reducer_.await_all_parameters();
  for (const auto& replica : replicas_) load_into(*replica, checkpoint, where);
  load_optimizer(checkpoint, where);
}

LossTerms DataParallelStep::recompute(size_t phase, int64_t step, int64_t microbatch) const {
  const auto index = static_cast<size_t>(microbatch - local_microbatches().first);
  return objective(phase, step, microbatch, *replicas_.front(), batches_[index]);
}

const std::string& DataParallelStep::name_at(int64_t element) const {
  const auto& items = flat_parameters_.items();
  const auto after = std::ranges::upper_bound(items, element, {}, &FlatParameters::Item::offset);
  return std::prev(after)->name;
}

std::string DataParallelStep::nonfinite_gradient(size_t phase) {
  const std::vector<torch::Tensor>& gradients = reducer_.gradient(phase);
  const Buckets& of_phase = buckets(phase);
  for (size_t bucket = 0; bucket < gradients.size(); ++bucket) {
    const torch::Tensor bad = gradients[bucket].isfinite().logical_not();
    if (bad.any().item<bool>())
      return name_at(of_phase.shard(bucket, world_.rank()).first +
                     bad.to(torch::kInt32).argmax().item<int64_t>());
  }
  return "";
}

void DataParallelStep::check_memory() {
  reducer_.await_all_parameters();
  for (size_t phase = 0; phase < phases_.size(); ++phase)
    if (!shares_parameters(phase)) optimizers_[phase].check(reducer_.shard(phase));
}

// A block of 1024 values may hold several parameters; the first of them is named.
std::string DataParallelStep::own_damage() const {
  for (size_t phase = 0; phase < phases_.size(); ++phase) {
    const std::optional<BitSums::Place> place = optimizers_[phase].damage();
    if (!place) continue;
    int64_t element = place->element;  // of the shards, end to end
    for (size_t bucket = 0; bucket < buckets(phase).count(); ++bucket) {
      const IndexRange shard = buckets(phase).shard(bucket, world_.rank());
      if (element < shard.size())
        return fmt::format("{} of {}", place->array == 0 ? "values" : "optimizer states",
                           name_at(shard.first + element));
      element -= shard.size();
    }
  }
  if (damaged_copy_ < 0) return "";
  return fmt::format("{}values of {}", owns(damaged_copy_) ? "" : "a copy of ", name_at(damaged_copy_));
}

bool DataParallelStep::owns(int64_t element) const {
  for (size_t phase = 0; phase < phases_.size(); ++phase)
    for (size_t bucket = 0; bucket < buckets(phase).count(); ++bucket)
      if (buckets(phase).shard(bucket, world_.rank()).contains(element)) return true;
  return false;
}

const torch::Tensor& DataParallelStep::values() {
  reducer_.await_all_parameters();
  return flat_parameters_.values();
}

torch::Tensor DataParallelStep::average() {
  if (options_.optimizer.ema == 0) return {};
  const torch::NoGradGuard no_grad;
  torch::Tensor whole = values().clone();
  for (size_t phase = phases_.size(); phase-- > 0;) {
    const IndexRange range = flat_parameters_.range(phase);
    whole.narrow(0, range.first, range.size()).copy_(reducer_.gather(phase, optimizers_[phase].average()));
  }
  return whole;
}

AveragedParameters::AveragedParameters(DataParallelStep& step) {
  const torch::Tensor average = step.average();
  if (!average.defined()) return;
  const torch::NoGradGuard no_grad;
  values_ = step.values();
  kept_ = values_.clone();
  values_.copy_(average);
}

AveragedParameters::~AveragedParameters() {
  const torch::NoGradGuard no_grad;
  if (kept_.defined()) values_.copy_(kept_);
}

std::string DataParallelStep::fingerprint() {
  reducer_.await_all_parameters();
  return elbo::fingerprint(flat_parameters_);
}

const std::vector<std::shared_ptr<Model>>& DataParallelStep::replicas() {
  reducer_.await_all_parameters();
  return replicas_;
}

void DataParallelStep::collect(Checkpoint& checkpoint) {
  checkpoint.fingerprint = fingerprint();
  checkpoint.world_size = world_.size();
  for (const FlatParameters::Item& item : flat_parameters_.items())
    checkpoint.parameters.emplace_back(item.name, FlatParameters::view(flat_parameters_.values(), item));
  for (const auto& buffer : replicas_.front()->named_buffers())
    checkpoint.buffers.emplace_back(buffer.key(), buffer.value());
}

OptimizerSnapshot DataParallelStep::snapshot_optimizer(int64_t piece_bytes) const {
  const torch::NoGradGuard no_grad;
  std::vector<ShardedState> states;
  for (size_t phase = 0; phase < phases_.size(); ++phase)
    for (const auto& [state, shard] : optimizers_[phase].states()) {
      ShardedState& copy = states.emplace_back();
      copy.shard = shard.to(torch::kCPU, false, /*copy=*/true);
      copy.buckets = &reducer_.buckets(phase);
      for_each_state(phase, state, [&](const std::string& name, const auto& item, IndexRange) {
        copy.items.push_back({name, item.shape, item.offset, item.elements});
      });
    }
  return {world_, std::move(states), piece_bytes};
}

bool DataParallelStep::finite() {
  reducer_.await_all_parameters();
  return flat_parameters_.values().isfinite().all().item<bool>();
}

}  // namespace elbo
