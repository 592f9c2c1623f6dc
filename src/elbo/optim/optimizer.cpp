#include "elbo/optim/optimizer.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <numbers>

#include "elbo/base/error.h"
#include "elbo/base/vectorize.h"
#include "elbo/kernels/adam_element.h"
#include "elbo/kernels/gpu.h"
#include "elbo/parallel/flat_parameters.h"

namespace elbo {
namespace {

using torch::Tensor;

// The numbers of an update.
struct Update {
  const OptimizerOptions& options;
  double lr;
  int64_t count;  // from 1
};

// LibTorch's fused kernels, for devices.
using FusedAdam = void (*)(at::TensorList parameters, at::TensorList gradients, at::TensorList exp_avgs,
                           at::TensorList exp_avg_sqs, at::TensorList max_exp_avg_sqs,
                           at::TensorList state_steps, double lr, double beta1, double beta2,
                           double weight_decay, double eps, bool amsgrad, bool maximize,
                           const std::optional<Tensor>& grad_scale, const std::optional<Tensor>& found_inf);

// The whole update in one pass over memory. LibTorch's CPU kernel is not used, because its rounding depends
// on the CPU's instruction set.
ELBO_VECTORIZE void adam_pass(int64_t n, const AdamFactors& factors, const float* __restrict gradient,
                              float* __restrict parameters, float* __restrict exp_avg,
                              float* __restrict exp_avg_sq) {
  const AdamFactors f = factors;
  for (int64_t i = 0; i < n; ++i) adam_element(f, gradient[i], parameters[i], exp_avg[i], exp_avg_sq[i]);
}

AdamFactors adam_factors(bool decoupled, const Update& u) {
  const OptimizerOptions& o = u.options;
  const double bias1 = 1 - std::pow(o.beta1, static_cast<double>(u.count));
  const double bias2 = 1 - std::pow(o.beta2, static_cast<double>(u.count));
  return {.decay = static_cast<float>(decoupled ? 1 - u.lr * o.weight_decay : 1.0),
          .l2 = static_cast<float>(decoupled ? 0.0 : o.weight_decay),
          .first = static_cast<float>(1 - o.beta1),
          .second = static_cast<float>(1 - o.beta2),
          .beta2 = static_cast<float>(o.beta2),
          .step = static_cast<float>(u.lr / bias1),
          .correction = static_cast<float>(1 / std::sqrt(bias2)),
          .epsilon = static_cast<float>(o.epsilon)};
}

// On a GPU. On CPUs, Optimizer::update_blocks() updates.
void adam_update(bool decoupled, const Tensor& parameters, const Tensor& gradient,
                 const std::vector<Tensor>& state, const Update& u) {
  if (gpu::computes(parameters.is_cpu()))
    return gpu::adam_update(parameters.numel(), adam_factors(decoupled, u), gradient.const_data_ptr<float>(),
                            parameters.mutable_data_ptr<float>(), state[0].mutable_data_ptr<float>(),
                            state[1].mutable_data_ptr<float>());
  const OptimizerOptions& o = u.options;
  const Tensor count = torch::full({}, static_cast<double>(u.count), parameters.options());
  constexpr FusedAdam fused_adam = &at::_fused_adam_, fused_adamw = &at::_fused_adamw_;
  (decoupled ? fused_adamw : fused_adam)({parameters}, {gradient}, {state[0]}, {state[1]}, {}, {count}, u.lr,
                                         o.beta1, o.beta2, o.weight_decay, o.epsilon, false, false, {}, {});
}

// Kingma & Ba 2015, algorithm 1.
void adam(const Tensor& parameters, const Tensor& gradient, const std::vector<Tensor>& state,
          const Update& u) {
  adam_update(false, parameters, gradient, state, u);
}

// Decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).
void adamw(const Tensor& parameters, const Tensor& gradient, const std::vector<Tensor>& state,
           const Update& u) {
  adam_update(true, parameters, gradient, state, u);
}

// Kingma & Ba 2015, algorithm 2.
void adamax(const Tensor& parameters, const Tensor& gradient, const std::vector<Tensor>& state,
            const Update& u) {
  const OptimizerOptions& o = u.options;
  state[0].lerp_(gradient, 1 - o.beta1);
  at::maximum_out(const_cast<Tensor&>(state[1]), state[1].mul_(o.beta2), gradient.abs().add_(o.epsilon));
  const double correction = 1 - std::pow(o.beta1, static_cast<double>(u.count));
  parameters.addcdiv_(state[0], state[1], -u.lr / correction);
}

// Tieleman & Hinton 2012 (lecture 6.5), with momentum as in Graves 2013.
void rmsprop(const Tensor& parameters, const Tensor& gradient, const std::vector<Tensor>& state,
             const Update& u) {
  const OptimizerOptions& o = u.options;
  state[0].mul_(o.alpha).addcmul_(gradient, gradient, 1 - o.alpha);
  const Tensor root = state[0].sqrt().add_(o.epsilon);
  if (o.momentum == 0) {
    parameters.addcdiv_(gradient, root, -u.lr);
  } else {
    state[1].mul_(o.momentum).addcdiv_(gradient, root);
    parameters.add_(state[1], -u.lr);
  }
}

void sgd(const Tensor& parameters, const Tensor& gradient, const std::vector<Tensor>& state,
         const Update& u) {
  if (u.options.momentum == 0) {
    parameters.add_(gradient, -u.lr);
  } else {
    state[0].mul_(u.options.momentum).add_(gradient);
    parameters.add_(state[0], -u.lr);
  }
}

ELBO_VECTORIZE void scale_pass(int64_t n, float factor, float* __restrict values) {
  for (int64_t i = 0; i < n; ++i) values[i] *= factor;
}

ELBO_VECTORIZE void average_pass(int64_t n, float weight, const float* __restrict parameters,
                                 float* __restrict average) {
  for (int64_t i = 0; i < n; ++i) average[i] += weight * (parameters[i] - average[i]);
}

// The average moves towards the parameters (Polyak & Juditsky 1992, with exponential weights).
void update_average(const Tensor& parameters, const Tensor& average, double decay) {
  if (!parameters.is_cpu()) {
    average.lerp_(parameters, 1 - decay);
    return;
  }
  average_pass(parameters.numel(), static_cast<float>(1 - decay), parameters.const_data_ptr<float>(),
               average.mutable_data_ptr<float>());
}

struct Rule {
  std::string name;
  std::vector<std::string> states;  // named as in PyTorch
  void (*update)(const Tensor&, const Tensor&, const std::vector<Tensor>&, const Update&);
  bool is_adam;  // with or without decoupled weight decay, which it has itself; other rules add it to the
                 // gradient (L2)
};

const std::vector<Rule>& rules() {
  static const std::vector<Rule> table{{"adam", {"exp_avg", "exp_avg_sq"}, adam, true},
                                       {"adamw", {"exp_avg", "exp_avg_sq"}, adamw, true},
                                       {"adamax", {"exp_avg", "exp_inf"}, adamax, false},
                                       {"rmsprop", {"square_avg", "momentum_buffer"}, rmsprop, false},
                                       {"sgd", {"momentum_buffer"}, sgd, false}};
  return table;
}

const Rule& rule_of(const std::string& name) { return *std::ranges::find(rules(), name, &Rule::name); }

}  // namespace

void OptimizerOptions::bind(OptionTable& table) {
  std::vector<std::string> names;
  for (const Rule& rule : rules()) names.push_back(rule.name);
  table.add_choice("optimizer.name", name, names, "the optimiser, as PyTorch defines it");
  table.add("optimizer.lr", lr, "learning rate", Range::at_least(0));
  table.add("optimizer.beta1", beta1, "decay of the first moment (adam, adamw, adamax)",
            Range::between(0, 0.999999));
  table.add("optimizer.beta2", beta2, "decay of the second moment (adam, adamw, adamax)",
            Range::between(0, 0.9999999));
  table.add("optimizer.epsilon", epsilon, "added to the denominator (all but sgd)", Range::above(0));
  table.add("optimizer.weight_decay", weight_decay,
            "weight decay; adamw: decoupled (Loshchilov & Hutter 2019); the others: added to the gradient",
            Range::at_least(0));
  table.add("optimizer.momentum", momentum, "decay of the velocity (sgd, rmsprop)",
            Range::between(0, 0.999999));
  table.add("optimizer.alpha", alpha, "decay of the mean square (rmsprop)", Range::between(0, 0.999999));
  table.add("optimizer.clip_norm", clip_norm,
            "largest Euclidean norm of the gradient over all parameters, to which a larger one is scaled "
            "down; 0: no limit",
            Range::at_least(0));
  table.add(
      "optimizer.ema", ema,
      "decay of an exponential moving average of the parameters, such as 0.999, which evaluations and all "
      "commands use in place of the parameters; 0: none is kept",
      Range::between(0, 0.9999999));
  table.add_choice(
      "optimizer.schedule", schedule,
      {"constant", "cosine", "one_cycle", "step", "milestones", "plateau", "range"},
      "how the learning rate changes; cosine: from lr to min_lr; one_cycle: from lr/25 to lr in 30 % of the "
      "run, then down to lr/250000 (Smith & Topin 2018); step: times gamma every schedule_steps; milestones: "
      "times gamma after each of them; plateau: times gamma after schedule_patience evaluations without a "
      "gain, not below min_lr; range: exponentially from min_lr to lr (Smith 2017), for tests");
  table.add("optimizer.warmup_steps", warmup_steps,
            "steps over which the learning rate rises linearly to lr, before the schedule",
            Range::at_least(0));
  table.add("optimizer.schedule_steps", schedule_steps,
            "cosine, one_cycle: the step at which it ends, 0 for the run's last; step: the interval in steps",
            Range::at_least(0));
  table.add("optimizer.milestones", milestones,
            "milestones: steps after which the learning rate is multiplied by gamma", Range::at_least(1));
  table.add("optimizer.gamma", gamma, "step, milestones, plateau: the factor of the learning rate",
            Range::above(0));
  table.add("optimizer.min_lr", min_lr,
            "cosine: the final learning rate; plateau: the lowest; range: the first", Range::at_least(0));
  table.add(
      "optimizer.schedule_patience", schedule_patience,
      "plateau: evaluations in a row without a gain (evaluate.best, evaluate.min_delta) before each drop",
      Range::at_least(1));
}

namespace {

// From `first` to `last` along half a period of a cosine; progress from 0 to 1.
double half_cosine(double first, double last, double progress) {
  return last + (first - last) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

// As PyTorch's OneCycleLR with its defaults: `steps` in all, from 0.
double one_cycle(double lr, double step, double steps) {
  constexpr double rising = 0.3, first_factor = 1.0 / 25, last_factor = 1e-4;
  const double top = std::max(1.0, rising * steps - 1), last = std::max(top + 1, steps - 1);
  if (step <= top) return half_cosine(lr * first_factor, lr, step / top);
  return half_cosine(lr, lr * first_factor * last_factor, std::min(1.0, (step - top) / (last - top)));
}

}  // namespace

double learning_rate(const OptimizerOptions& o, int64_t step, int64_t run_steps) {
  if (step < o.warmup_steps)
    return o.lr * static_cast<double>(step + 1) / static_cast<double>(o.warmup_steps);
  const int64_t steps = o.schedule_steps > 0 ? o.schedule_steps : run_steps;
  if (o.schedule == "one_cycle")
    return one_cycle(o.lr, static_cast<double>(step), static_cast<double>(steps));
  if (o.schedule == "range")
    return o.min_lr * std::pow(o.lr / o.min_lr, static_cast<double>(step) /
                                                    static_cast<double>(std::max<int64_t>(1, run_steps - 1)));
  if (o.schedule == "cosine") {
    const auto length = static_cast<double>(steps - o.warmup_steps);
    const double progress = std::min(1.0, static_cast<double>(step - o.warmup_steps) / std::max(1.0, length));
    return half_cosine(o.lr, o.min_lr, progress);
  }
  int64_t drops = 0;
  if (o.schedule == "step" && o.schedule_steps > 0) drops = step / o.schedule_steps;
  if (o.schedule == "milestones")
    drops = std::ranges::count_if(o.milestones, [&](int64_t milestone) { return step >= milestone; });
  return o.lr * std::pow(o.gamma, static_cast<double>(drops));
}

Optimizer::Optimizer(OptimizerOptions options, const std::vector<Tensor>& shard)
    : options_(std::move(options)) {
  int64_t elements = 0;
  for (const Tensor& piece : shard) elements += piece.numel();
  const bool velocity = options_.momentum > 0;
  for (const std::string& state : rule_of(options_.name).states)
    if (state != "momentum_buffer" || velocity)
      states_.emplace_back(state, torch::zeros({elements}, shard.front().options()));
  if (options_.ema > 0) states_.emplace_back("ema", torch::cat(shard).detach());
  bit_sums_ = std::make_unique<BitSums>(1 + states_.size(), elements);
  remember(shard);
}

template <typename Visit>
void Optimizer::for_each_array(const Tensor& piece, int64_t begin, int64_t first, int64_t n,
                               Visit&& visit) const {
  if (!piece.is_cpu()) return;
  visit(size_t{0}, begin + first, piece.const_data_ptr<float>() + first, n);
  for (size_t i = 0; i < states_.size(); ++i)
    visit(i + 1, begin + first, states_[i].second.const_data_ptr<float>() + begin + first, n);
}

void Optimizer::remember(const std::vector<Tensor>& shard) {
  bit_sums_->forget();
  int64_t begin = 0;
  for (const Tensor& piece : shard) {
    for_each_array(piece, begin, 0, piece.numel(), [&](auto... values) { bit_sums_->record(values...); });
    begin += piece.numel();
  }
}

void Optimizer::check(const std::vector<Tensor>& shard) {
  int64_t begin = 0;
  for (const Tensor& piece : shard) {
    for_each_array(piece, begin, 0, piece.numel(), [&](auto... values) { bit_sums_->check(values...); });
    begin += piece.numel();
  }
}

void Optimizer::remember_values(const std::vector<Tensor>& shard) {
  int64_t begin = 0;
  for (const Tensor& piece : shard) {
    if (piece.is_cpu()) bit_sums_->record(0, begin, piece.const_data_ptr<float>(), piece.numel());
    begin += piece.numel();
  }
}

std::vector<double> Optimizer::value_sums(const std::vector<Tensor>& shard) const {
  std::vector<double> sums(static_cast<size_t>(bit_sums_->blocks()), -1.0);
  if (shard.front().is_cpu()) std::copy_n(bit_sums_->sums(0), bit_sums_->blocks(), sums.begin());
  return sums;
}

// Adam's whole update of a block while it is in the first-level cache, with the sums of its bits before and
// after it.
void Optimizer::update_blocks(const Tensor& piece, const Tensor& gradient, int64_t begin, IndexRange own,
                              float gradient_scale, const AdamFactors& factors) {
  float *const values = piece.mutable_data_ptr<float>(), *const gradients =
                                                             gradient.mutable_data_ptr<float>();
  float* const exp_avg = states_[0].second.mutable_data_ptr<float>() + begin;
  float* const exp_avg_sq = states_[1].second.mutable_data_ptr<float>() + begin;
  float* const average = options_.ema > 0 ? states_.back().second.mutable_data_ptr<float>() + begin : nullptr;
  for (int64_t at = own.first; at < own.end; at += block_elements) {
    if (gradient_scale != 1) scale_pass(block_elements, gradient_scale, gradients + at);
    for_each_array(piece, begin, at, block_elements, [&](auto... block) { bit_sums_->check(block...); });
    adam_pass(block_elements, factors, gradients + at, values + at, exp_avg + at, exp_avg_sq + at);
    if (average != nullptr)
      average_pass(block_elements, static_cast<float>(1 - options_.ema), values + at, average + at);
    for_each_array(piece, begin, at, block_elements, [&](auto... block) { bit_sums_->record(block...); });
  }
}

void Optimizer::step(const std::vector<Tensor>& shard, const std::vector<Tensor>& gradients, double lr,
                     double gradient_scale, int64_t update, Workers& workers) {
  const Rule& rule = rule_of(options_.name);
  const Update numbers{options_, lr, update};
  const bool on_cpu = shard.front().is_cpu(), in_blocks = rule.is_adam && on_cpu && !gpu::computes(true);
  const AdamFactors factors = adam_factors(rule.update == &adamw, numbers);
  // Small enough that the values stay in the core's cache between the update and the sums of their bits.
  constexpr int64_t piece_elements = 16 * block_elements;
  workers.run([&](int worker) {
    const torch::NoGradGuard no_grad;
    int64_t begin = 0;  // offset of the piece in the state
    for (size_t piece = 0; piece < shard.size(); begin += shard[piece++].numel()) {
      const IndexRange own = partition_blocks({0, shard[piece].numel()}, worker, workers.count());
      if (in_blocks) {
        update_blocks(shard[piece], gradients[piece], begin, own, static_cast<float>(gradient_scale),
                      factors);
        continue;
      }
      const int64_t step = on_cpu ? piece_elements : own.size();
      for (int64_t first = own.first; first < own.end; first += step) {
        const int64_t n = std::min(step, own.end - first);
        const Tensor p = shard[piece].narrow(0, first, n);
        const Tensor g = gradients[piece].narrow(0, first, n);
        std::vector<Tensor> states;
        states.reserve(states_.size());
        for (const State& state : states_) states.push_back(state.second.narrow(0, begin + first, n));
        if (gradient_scale != 1) g.mul_(gradient_scale);
        if (!rule.is_adam && options_.weight_decay > 0) g.add_(p, options_.weight_decay);
        for_each_array(shard[piece], begin, first, n, [&](auto... values) { bit_sums_->check(values...); });
        rule.update(p, g, states, numbers);
        if (options_.ema > 0) update_average(p, states.back(), options_.ema);
        for_each_array(shard[piece], begin, first, n, [&](auto... values) { bit_sums_->record(values...); });
      }
    }
  });
}

}  // namespace elbo
