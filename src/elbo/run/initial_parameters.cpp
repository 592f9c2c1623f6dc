#include "elbo/run/initial_parameters.h"

#include <fmt/ranges.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/comm/on_root.h"
#include "elbo/run/broadcast_checkpoint.h"
#include "elbo/run/saved_run.h"

namespace elbo {
namespace {

// Of the data set of that run, not of its model's parameters.
bool is_of_transform(const std::string& name) { return name == "input_shift" || name == "input_scale"; }

bool is_in_module(const std::string& name, const std::string& module) {
  return name == module || name.starts_with(module + ".");
}

bool is_wanted(const std::string& name, const std::vector<std::string>& modules) {
  return !is_of_transform(name) &&
         (modules.empty() || std::ranges::any_of(modules, [&](const std::string& module) {
            return is_in_module(name, module);
          }));
}

// The number of tensors that were copied.
int64_t copy_tensors(const torch::OrderedDict<std::string, torch::Tensor>& targets,
                     const std::vector<NamedTensor>& values, const std::vector<std::string>& modules,
                     const std::string& where) {
  int64_t copied = 0;
  for (const auto& target : targets) {
    if (!is_wanted(target.key(), modules)) continue;
    const auto value = std::ranges::find(values, target.key(), &NamedTensor::first);
    if (value == values.end())
      usage_error(
          "train.init_from={}: has no {}, which this model has; name the modules to take in "
          "train.init_modules",
          where, target.key());
    if (value->second.sizes() != target.value().sizes())
      usage_error(
          "train.init_from={}: {} has the shape ({}), this model's has ({}); use the same sizes, or name the "
          "modules to take in train.init_modules",
          where, target.key(), fmt::join(value->second.sizes().vec(), ", "),
          fmt::join(target.value().sizes().vec(), ", "));
    target.value().copy_(value->second);
    ++copied;
  }
  return copied;
}

}  // namespace

void load_initial_parameters(Communicator& world, const RunConfig& config, Model& model) {
  const std::string& from = config.train.init_from;
  std::optional<Checkpoint> other = broadcast_checkpoint(
      world, on_root<std::optional<Checkpoint>>(
                 world, [&] { return std::optional<Checkpoint>(read_run(from, "newest")); }));
  if (!other) fail("train.init_from={}: rank 0 has sent no checkpoint", from);
  use_average(*other);
  std::vector<std::string> modules = split(config.train.init_modules, ',');
  std::erase(modules, "");
  const auto parameters = model.named_parameters();
  for (const std::string& module : modules)
    if (std::ranges::none_of(parameters, [&](const auto& item) { return is_in_module(item.key(), module); }))
      usage_error("train.init_modules={}: this model has no parameters in {}; elbo inspect {} lists names",
                  config.train.init_modules, module, from);
  const torch::NoGradGuard no_grad;
  const int64_t copied = copy_tensors(parameters, other->parameters, modules, from);
  copy_tensors(model.named_buffers(), other->buffers, modules, from);
  log::info("{} of {} parameter tensors are those of {} at step {}", copied, parameters.size(), from,
            other->step);
}

}  // namespace elbo
