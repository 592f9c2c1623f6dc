// First-order optimisers on shards of the flat parameters (ZeRO stage 1), and learning-rate schedules. All
// updates are elementwise, so the bits do not depend on the sharding.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/base/options.h"
#include "elbo/kernels/adam_element.h"
#include "elbo/optim/bit_sums.h"
#include "elbo/parallel/workers.h"

namespace elbo {

struct OptimizerOptions {
  std::string name = "adam";  // adam | adamw | adamax | rmsprop | sgd
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;  // adam, adamw, adamax
  double epsilon = 1e-8;
  double weight_decay =
      0;                 // adamw: decoupled (Loshchilov & Hutter 2019); otherwise an L2 term in the gradient
  double momentum = 0;   // sgd, rmsprop
  double alpha = 0.99;   // rmsprop: decay of the mean square
  double clip_norm = 0;  // maximum Euclidean norm of the gradient; 0: no clipping
  double ema = 0;        // decay of the moving average of the parameters; 0: none is kept
  std::string schedule = "constant";  // constant | cosine | one_cycle | step | milestones | plateau | range
  int64_t warmup_steps = 0;           // linear from lr/warmup_steps to lr, before the schedule
  int64_t schedule_steps = 0;         // cosine: its length (0: that of the run); step: the interval
  std::vector<int64_t> milestones{};  // steps after which lr is multiplied by gamma
  double gamma = 0.1;                 // step, milestones, plateau
  double min_lr = 0;              // cosine: the final learning rate; plateau: the lowest; range: the first
  int64_t schedule_patience = 5;  // plateau: evaluations without a gain before a drop
  void bind(OptionTable& table);  // under optimizer.*
};

// The learning rate of a step (from 0). run_steps: the length of the run, for schedules that end with it. The
// drops of plateau follow from evaluations and are not in it.
double learning_rate(const OptimizerOptions& options, int64_t step, int64_t run_steps);

// The optimiser of a phase, for this rank's shards.
class Optimizer {
 public:
  // A state tensor: its name as in PyTorch (exp_avg, exp_avg_sq, …) and its values for this rank's shards,
  // end to end.
  using State = std::pair<std::string, torch::Tensor>;

  // shard: this rank's shards of the flat parameters, in whole blocks. The state is on their device,
  // initially zero.
  Optimizer(OptimizerOptions options, const std::vector<torch::Tensor>& shard);

  // Updates the shards in place, in parallel on the workers. The gradients are multiplied by `gradient_scale`
  // (clipping) and may be overwritten. update: its number, from 1.
  void step(const std::vector<torch::Tensor>& shard, const std::vector<torch::Tensor>& gradients, double lr,
            double gradient_scale, int64_t update, Workers& workers);

  std::vector<State>& states() { return states_; }
  const std::vector<State>& states() const { return states_; }
  // The moving average of the shards, one of the states; undefined without optimizer.ema.
  torch::Tensor average() const { return options_.ema > 0 ? states_.back().second : torch::Tensor(); }

  // The shards and states were set by something else than step(): from now on their bits are those.
  void remember(const std::vector<torch::Tensor>& shard);
  // The same of the shards' values alone, which another phase's optimizer may have changed.
  void remember_values(const std::vector<torch::Tensor>& shard);
  // Compares the bits of shards and states with those after the last step() or remember(), as step() does.
  void check(const std::vector<torch::Tensor>& shard);
  // The place of a bit that changed between two calls of step() and remember(), if there is one: array 0 are
  // the shards, arrays 1, … the states, both end to end. Found by step() or check(), in host memory only.
  std::optional<BitSums::Place> damage() const { return bit_sums_->damage(); }
  // The sum of the bits of each block of the shards, end to end, after the last step() or remember(); -1 for
  // values that are not in host memory.
  std::vector<double> value_sums(const std::vector<torch::Tensor>& shard) const;

 private:
  OptimizerOptions options_;
  std::vector<State> states_;
  // Calls visit(array, offset, values, n) for n elements from `first` of a shard, and for their states.
  template <typename Visit>
  void for_each_array(const torch::Tensor& piece, int64_t begin, int64_t first, int64_t n,
                      Visit&& visit) const;
  void update_blocks(const torch::Tensor& piece, const torch::Tensor& gradient, int64_t begin, IndexRange own,
                     float gradient_scale, const AdamFactors& factors);
  std::unique_ptr<BitSums> bit_sums_;
};

}  // namespace elbo
