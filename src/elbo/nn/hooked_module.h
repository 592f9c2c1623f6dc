// Layers that announce each use of their parameters, like torch.nn.Module.register_forward_pre_hook in
// Python. So training can wait for parameters at their first use (train/data_parallel_step.h).
#pragma once
#include <torch/nn/module.h>

#include <functional>
#include <utility>

namespace elbo {

class HookedModule : public torch::nn::Module {
 public:
  // Called before the module reads its own parameters, by the thread that reads them; empty: no hook.
  void set_pre_hook(std::function<void()> hook) { pre_hook_ = std::move(hook); }

 protected:
  // A subclass calls it at the beginning of each public function that reads its parameters.
  void before_use() const {
    if (pre_hook_) pre_hook_();
  }

 private:
  std::function<void()> pre_hook_;
};

}  // namespace elbo
