#include "elbo/train/trainer.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/stopwatch.h"
#include "elbo/base/text.h"
#include "elbo/comm/cuda_library.h"
#include "elbo/nn/precision.h"
#include "elbo/run/preflight.h"
#include "elbo/run/device.h"
#include "elbo/run/open_data.h"
#include "elbo/run/run_directory.h"
#include "elbo/run/broadcast_checkpoint.h"

namespace elbo {
namespace {

Key run_key(const RunConfig& config) { return Key(static_cast<uint64_t>(config.train.seed)); }

std::string state_name(const Phase& phase, const std::string& state, const FlatParameters::Item& item) {
  return phase.name + "/" + state + "/" + item.name;
}

}  // namespace

Trainer::Trainer(const Environment& environment, RunConfig& config, Purpose purpose)
    : config_(config),
      host_(environment.make_world(config.run.timeout)),
      device_(choose_device(config.train, environment)),
      start_(share(*host_, host_->rank() == 0 ? find_start(config) : std::nullopt)),
      dataset_(
          open_data(config, environment, *host_, start_ ? &*start_ : nullptr, purpose == Purpose::train)),
      rows_(dataset_.split("train")) {
  if (start_) {
    require_same_run(*start_);
    first_step_ = start_->step;
    saved_step_ = start_->step;
    evaluation_pending_ = start_->evaluation_pending;
  }
  end_step_ = steps_of_run();
  if (uses_nccl()) make_nccl_world(environment);

  const IndexRange microbatches = partition({0, config.microbatches()}, host_->rank(), host_->size());
  workers_ =
      std::make_unique<Workers>(worker_count(config.train.threads, environment, device_, microbatches.size()));
  make_replicas();
  make_reducer();
  make_optimizers();
  make_loader();
  if (first_step_ >= end_step_)
    log::info("{} has {} steps behind it, this run ends at {}: a larger train.steps or train.epochs goes on",
              config.directory(), first_step_, end_step_);
  if (purpose == Purpose::train) begin_to_write();
  start_.reset();
  if (host_->rank() == 0)
    preflight_warnings(
        config, rows_, *replicas_.front(), phases_, end_step_,
        {.ranks = host_->size(), .threads = thread_count(config.train.threads, environment, device_)});
}

void Trainer::begin_to_write() {
  if (host_->rank() == 0 && first_step_ < end_step_) lock_ = prepare_run_directory(config_, first_step_);
  coordinator_ = std::make_unique<Coordinator>(config_, host_->rank() == 0, rows_.rows(), first_step_,
                                               end_step_, evaluation_pending_);
  if (start_) coordinator_->restore_best(start_->best_loss, start_->best_step);
}

std::string Trainer::plan() const {
  int64_t parameters = 0;
  for (const FlatParameters::Item& item : flat_parameters_->items()) parameters += item.elements;
  return fmt::format(
      "{} with {} parameters, on {} rows of shape {}\n"
      "{} steps of {} rows, in {} microbatches of {}: so many cores or GPUs can compute at once\n"
      "{} {}",
      config_.model->name(), parameters, rows_.rows(), shape_text(dataset_.shape().x), end_step_,
      config_.train.batch, config_.microbatches(), config_.train.microbatch,
      first_step_ > 0 ? fmt::format("goes on after step {} in", first_step_) : "begins in",
      config_.directory());
}

bool Trainer::uses_nccl() const {
  if (host_->size() == 1) return false;
  return config_.train.communication == "nccl" ||
         (config_.train.communication == "auto" && device_.is_cuda());
}

// On CPUs only what stands in for NCCL in the tests can do that.
void Trainer::make_nccl_world(const Environment& environment) {
  try {
    nccl_ = environment.make_nccl_world(*host_, device_, config_.run.timeout);
  } catch (const Error& error) {
    if (device_.is_cuda()) throw;
    usage_error(
        "train.communication=nccl: moves data between GPUs, and ranks compute on CPUs; use auto or mpi ({})",
        error.what());
  }
}

void Trainer::require_same_run(const Checkpoint& start) const {
  const std::string where = config_.directory() + ", step " + std::to_string(start.step);
  require_same_experiment(config_, *saved_config(start.config, where), where);
  if (start.dataset_fingerprint == dataset_.fingerprint()) return;
  if (!config_.run.allow_data_change)
    usage_error(
        "data.path={}: is not the data set that {} was trained on; resume with that one, or with "
        "run.allow_data_change=true",
        config_.data.path, where);
  if (host_->rank() == 0)
    log::warning("data.path={}: is not the data set that {} was trained on; going on, as run.allow_data_change says",
                 config_.data.path, where);
}

int64_t Trainer::steps_of_run() const {
  if (config_.train.steps > 0) return config_.train.steps;
  if (static_cast<double>(config_.train.epochs) * static_cast<double>(rows_.rows()) > 1e18)
    usage_error("train.epochs={}: is more than can be counted for {} rows; expected fewer",
                config_.train.epochs, rows_.rows());
  return (config_.train.epochs * rows_.rows() + config_.train.batch - 1) / config_.train.batch;
}

void Trainer::make_replicas() {
  for (int worker = 0; worker < workers_->count(); ++worker) {
    RandomGenerator init(run_key(config_).with("init"));
    std::shared_ptr<Model> model =
        config_.model->build({dataset_.shape(), config_.network, config_.model->name()}, init);
    if (start_) load_into(*model, *start_, config_.directory());
    model->to(device_);
    replicas_.push_back(model);
  }
  Model& first = *replicas_.front();
  phases_ = first.phases();
  flat_parameters_ = std::make_unique<FlatParameters>(first, phases_);
  host_->broadcast(flat_parameters_->values(), 0);
  for (const auto& replica : replicas_) flat_parameters_->bind(*replica);
  share_buffers();
}

// Ranks have different numbers of replicas, so only the first one takes part in what is collective.
void Trainer::share_buffers() {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> first = replicas_.front()->buffers();
  for (torch::Tensor& buffer : first) host_->broadcast(buffer, 0);
  for (size_t i = 1; i < replicas_.size(); ++i) {
    const std::vector<torch::Tensor> others = replicas_[i]->buffers();
    for (size_t buffer = 0; buffer < first.size(); ++buffer) others[buffer].copy_(first[buffer]);
  }
}

void Trainer::make_reducer() {
  std::vector<std::vector<torch::Tensor>> parameters;
  parameters.reserve(replicas_.size());
  for (const auto& replica : replicas_) parameters.push_back(replica->parameters());
  reducer_ = std::make_unique<GradientReducer>(*host_, nccl_ ? *nccl_ : *host_, *workers_, *flat_parameters_,
                                         std::move(parameters), phases_.size(),
                                         GradientReducerOptions{.microbatches = config_.microbatches(),
                                                         .exact = config_.train.exact,
                                                         .bucket_bytes = config_.train.bucket_bytes});
}

void Trainer::make_optimizers() {
  for (size_t phase = 0; phase < phases_.size(); ++phase) {
    const IndexRange range = flat_parameters_->range(phase);
    optimizers_.emplace_back(config_.optimizer, reducer_->shard(phase));
    if (!start_) continue;
    for (auto& [state, values] : optimizers_.back().states()) {
      torch::Tensor whole = torch::zeros({range.size()}, flat_parameters_->values().options());
      for (const FlatParameters::Item& item : flat_parameters_->items()) {
        if (item.offset < range.first || item.offset >= range.end) continue;
        const auto saved = std::ranges::find(start_->optimizer, state_name(phases_[phase], state, item),
                                             &NamedTensor::first);
        if (saved == start_->optimizer.end())
          fail("{}: its checkpoint lacks the optimiser's {}", config_.directory(),
               state_name(phases_[phase], state, item));
        FlatParameters::view(whole, item, range.first).copy_(saved->second);
      }
      values.copy_(reducer_->select(phase, whole));
    }
  }
}

void Trainer::make_loader() {
  batches_.resize(static_cast<size_t>(reducer_->local_microbatches().size()));
  loader_ = std::make_unique<Loader>(rows_, LoaderOptions{.batch = config_.train.batch,
                                                          .microbatch = config_.train.microbatch,
                                                          .microbatches = reducer_->local_microbatches(),
                                                          .binarize = config_.data.binarize,
                                                          .shuffle_buffer_bytes = config_.data.shuffle_buffer_bytes,
                                                          .prefetch = config_.data.prefetch,
                                                          .workers = workers_->count(),
                                                          .seed = static_cast<uint64_t>(config_.train.seed),
                                                          .first_step = first_step_,
                                                          .end_step = end_step_});
}

TrainOutcome Trainer::run(const StopRequest& stop) {
  bool stopped = evaluation_pending_ && !evaluate(first_step_, stop);
  if (best_) save(first_step_);
  int64_t step = first_step_;
  while (step < end_step_ && !stopped) {
    const StepReport report = take_step(step, stop);
    ++step;
    coordinator_->after_step(step, report);
    count_skipped(step, report);
    const bool evaluated = !coordinator_->evaluation_due(step) || evaluate(step, stop);
    stopped = !evaluated || (report.stop && step < end_step_);
    if (best_ || report.save || stopped || coordinator_->checkpoint_due(step)) save(step);
  }
  return {step, fingerprint(*flat_parameters_), stopped};
}

StepReport Trainer::take_step(int64_t step, const StopRequest& stop) {
  StepReport report;
  StepSeconds& seconds = report.seconds;
  std::ranges::fill(batches_, Batch{});
  for (size_t phase = 0; phase < phases_.size(); ++phase) {
    if (!phases_[phase].active(step)) continue;
    Stopwatch watch;
    reducer_->compute(phase,
                       [&](int worker, int64_t microbatch) { return compute_microbatch(phase, step, microbatch, worker); });
    const double compute = watch.lap();
    const StepSums sums =
        reducer_->finish(phase, {stop.made() ? 1.0 : 0.0, coordinator_->wants_checkpoint() ? 1.0 : 0.0,
                                  loader_->waited_seconds(), compute, reducer_->overlapped_seconds()});
    seconds.exchange += watch.lap();
    update(phase, step, sums, report);
    seconds.update += watch.lap();
    reducer_->all_gather_parameters(phase);
    seconds.all_gather_parameters += watch.lap();
    if (report.finite && sums.statistics.defined())
      for (const auto& replica : replicas_)
        replica->update_statistics({phases_[phase].name, step, 0}, sums.statistics.to(device_));
  }
  if (device_.is_cuda() && host_->rank() == 0) report.memory = load_cuda().device_memory(device_);
  return report;
}

MicrobatchReport Trainer::compute_microbatch(size_t phase, int64_t step, int64_t microbatch, int worker) {
  Model& replica = *replicas_[static_cast<size_t>(worker)];
  Batch& batch = batches_[static_cast<size_t>(microbatch - reducer_->local_microbatches().first)];
  // The step's first phase fetches it.
  if (!batch.x.defined()) batch = loader_->microbatch(step, microbatch).to(device_);
  RandomGenerator noise(run_key(config_)
                  .with("noise")
                  .with(static_cast<uint64_t>(step))
                  .with(static_cast<uint64_t>(microbatch))
                  .with(phases_[phase].name),
              device_);
  const LossTerms terms = [&] {
    const ProductPrecision precision(config_.train.precision == "bfloat16" ? torch::kBFloat16
                                                                           : torch::kFloat32);
    return replica.objective({phases_[phase].name, step, microbatch}, batch, noise);
  }();
  // The batch's mean is the sum over leaves of their sums by B: no rank weighs more than another.
  const torch::Tensor total = terms.loss.sum();
  total.backward(torch::full({}, 1.0 / static_cast<double>(config_.train.batch), total.options()));

  MicrobatchReport report{.names = {"loss"},
                    .scalars = {terms.loss.detach().sum(torch::kFloat64).item<double>()},
                    .statistics = terms.statistics};
  for (const auto& [name, value] : terms.parts) {
    report.names.push_back(name);
    report.scalars.push_back(value.sum(torch::kFloat64).item<double>());
  }
  return report;
}

void Trainer::update(size_t phase, int64_t step, const StepSums& sums, StepReport& report) {
  const auto batch = static_cast<double>(config_.train.batch);
  const double loss = sums.scalars.front() / batch;
  for (size_t i = 1; i < sums.names.size(); ++i)
    report.terms.emplace_back(sums.names[i], sums.scalars[i] / batch);
  // The step's first phase's loss is the model's; an adversary's stands among the terms.
  if (report.phases++ == 0) {
    report.loss = loss;
    report.gradient_norm = sums.gradient_norm;
  }
  for (const std::vector<double>& status : sums.rank_status) {
    report.stop |= status[0] > 0;
    report.save |= status[1] > 0;
    report.data_wait = std::max(report.data_wait, status[2]);
  }
  const auto compute_of = [](const std::vector<double>& status) { return status[3]; };
  const auto [fastest, slowest] = std::ranges::minmax_element(sums.rank_status, {}, compute_of);
  report.seconds.compute += compute_of(*slowest);
  report.seconds.overlapped += (*slowest)[4];
  report.seconds.fastest += compute_of(*fastest);
  report.seconds.rank_0 += compute_of(sums.rank_status.front());
  report.seconds.slowest_rank = static_cast<int>(slowest - sums.rank_status.begin());
  report.lr = learning_rate(config_.optimizer, step, end_step_);
  const Phase& taken = phases_[phase];
  if (!std::isfinite(loss) || !std::isfinite(sums.gradient_norm)) {
    report.finite = false;
    return;
  }
  const double limit = config_.optimizer.clip_norm;
  const double scale = limit > 0 && sums.gradient_norm > limit ? limit / sums.gradient_norm : 1.0;
  optimizers_[phase].step(reducer_->shard(phase), reducer_->gradient(phase), taken.lr_factor * report.lr,
                          scale, step - taken.first_step + 1, *workers_);
}

void Trainer::count_skipped(int64_t done, const StepReport& report) {
  if (report.finite) {
    skipped_ = 0;
    return;
  }
  if (++skipped_ == 1) log::warning("step {} is skipped: the loss or its gradient is not finite", done);
  if (skipped_ > config_.train.max_nonfinite_steps || done == end_step_) fail_as_diverged(done);
}

void Trainer::fail_as_diverged(int64_t done) const {
  fail(
      "training diverged: at step {} the loss, its gradient or the parameters are not finite{}; lower "
      "optimizer.lr={:g}, set optimizer.clip_norm, or scale the data (the run is {})",
      done, skipped_ > 1 ? fmt::format(", in {} steps in a row", skipped_) : "", config_.optimizer.lr,
      config_.directory());
}

bool Trainer::evaluate(int64_t done, const StopRequest& stop) {
  const std::string split = dataset_.has("validation") ? "validation" : "test";
  if (!dataset_.has(split)) return true;
  const std::optional<Evaluation> evaluation = elbo::evaluate(
      *host_, *workers_, replicas_, dataset_.split(split),
      config_.evaluation(split, config_.evaluate.importance_samples), [&] { return stop.made(); });
  evaluation_pending_ = !evaluation;
  if (evaluation) best_ = coordinator_->after_evaluation(done, *evaluation);
  return evaluation.has_value();
}

void Trainer::save(int64_t done) {
  if (done != saved_step_) {
    if (!flat_parameters_->values().isfinite().all().item<bool>()) fail_as_diverged(done);
    const Checkpoint checkpoint = collect(done);
    if (host_->rank() == 0) write_checkpoint(checkpoint_path(config_.directory(), done), checkpoint);
    saved_step_ = done;
  }
  coordinator_->after_checkpoint(done, std::exchange(best_, false));
}

Checkpoint Trainer::collect(int64_t done) {
  Checkpoint checkpoint{.step = done,
                        .fingerprint = fingerprint(*flat_parameters_),
                        .config = config_.table().ini(),
                        .dataset_fingerprint = dataset_.fingerprint(),
                        .data = dataset_.shape(),
                        .world_size = host_->size(),
                        .best_loss = coordinator_->best_loss(),
                        .best_step = coordinator_->best_step(),
                        .evaluation_pending = evaluation_pending_,
                        .parameters = {},
                        .buffers = {},
                        .optimizer = {}};
  for (const FlatParameters::Item& item : flat_parameters_->items())
    checkpoint.parameters.emplace_back(item.name, FlatParameters::view(flat_parameters_->values(), item));
  for (const auto& buffer : replicas_.front()->named_buffers())
    checkpoint.buffers.emplace_back(buffer.key(), buffer.value());
  for (size_t phase = 0; phase < phases_.size(); ++phase) {
    const IndexRange range = flat_parameters_->range(phase);
    for (const auto& [state, shard] : optimizers_[phase].states()) {
      const torch::Tensor whole = reducer_->gather(phase, shard);
      for (const FlatParameters::Item& item : flat_parameters_->items())
        if (item.offset >= range.first && item.offset < range.end)
          checkpoint.optimizer.emplace_back(state_name(phases_[phase], state, item),
                                            FlatParameters::view(whole, item, range.first));
    }
  }
  return checkpoint;
}

}  // namespace elbo
