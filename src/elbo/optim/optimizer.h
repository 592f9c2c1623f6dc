// First-order optimisers on pieces of the arena, and the schedules of their learning rate. All updates are
// elementwise, so how the arena is cut into slices cannot change a bit.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/parallel/workers.h"

namespace elbo {

struct OptimizerOptions {
  std::string name = "adam";  // adam | adamw | adamax | rmsprop | sgd
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;  // adam, adamw, adamax
  double epsilon = 1e-8;
  double weight_decay = 0;            // adamw: decoupled (Loshchilov & Hutter 2019); else L2 on the gradient
  double momentum = 0;                // sgd, rmsprop
  double alpha = 0.99;                // rmsprop: decay of the mean square
  double clip_norm = 0;               // Euclidean norm that gradients are scaled down to; 0: never
  std::string schedule = "constant";  // constant | cosine | step | milestones
  int64_t warmup_steps = 0;           // linear from lr/warmup_steps to lr, before the schedule
  int64_t schedule_steps = 0;         // cosine: its length (0: the run's); step: the interval
  std::vector<int64_t> milestones{};  // steps after which lr is multiplied by gamma
  double gamma = 0.1;                 // step, milestones
  double min_lr = 0;                  // cosine ends here
  void bind(OptionTable& table);      // under optimizer.*
};

// Learning rate of a step (from 0), a function of the step alone. run_steps: the run's length, for cosine.
double learning_rate(const OptimizerOptions& options, int64_t step, int64_t run_steps);

// One phase's optimiser, on what one rank owns of it.
class Optimizer {
 public:
  // A state tensor: its name as in PyTorch (exp_avg, exp_avg_sq, …) and what this rank owns of it, end to
  // end.
  using State = std::pair<std::string, torch::Tensor>;

  // owned: the pieces of the arena, whole blocks. The state lives where they do, zero at first.
  Optimizer(OptimizerOptions options, const std::vector<torch::Tensor>& shard);

  // Updates the pieces in place; the gradients of each, which may be overwritten, are multiplied by
  // `gradient_scale` first (clipping). `update`: counts from 1. The work is shared among the workers.
  void step(const std::vector<torch::Tensor>& shard, const std::vector<torch::Tensor>& gradients, double lr,
            double gradient_scale, int64_t update, Workers& workers);

  std::vector<State>& states() { return states_; }

 private:
  OptimizerOptions options_;
  std::vector<State> states_;
};

}  // namespace elbo
