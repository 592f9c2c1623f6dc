#include "elbo/run/unused_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

// A setting that has an effect only if another has one of the values `needed`, where there are any, and none
// of `useless`.
struct Condition {
  std::string key, other;
  std::vector<std::string> needed, useless{};

  bool met(const std::string& value) const {
    return (needed.empty() || std::ranges::find(needed, value) != needed.end()) &&
           std::ranges::find(useless, value) == useless.end();
  }
};

const std::vector<Condition>& conditions() {
  static const std::vector<std::string> counts{"poisson", "zero_inflated_poisson", "negative_binomial",
                                               "zero_inflated_negative_binomial"};
  const auto and_counts = [&](std::vector<std::string> names) {
    names.insert(names.end(), counts.begin(), counts.end());
    return names;
  };
  static const std::vector<std::string> without_scale =
      and_counts({"bernoulli", "categorical", "continuous_bernoulli", "mixed", "multinomial"});
  static const std::vector<Condition> all{
      {"optimizer.schedule_steps", "optimizer.schedule", {"step", "cosine", "one_cycle"}},
      {"optimizer.schedule_patience", "optimizer.schedule", {"plateau"}},
      {"optimizer.warmup_steps", "optimizer.schedule", {}, {"one_cycle", "range"}},
      {"optimizer.milestones", "optimizer.schedule", {"milestones"}},
      {"optimizer.gamma", "optimizer.schedule", {"step", "milestones", "plateau"}},
      {"optimizer.min_lr", "optimizer.schedule", {"cosine", "plateau", "range"}},
      {"train.init_modules", "train.init_from", {}, {""}},
      {"optimizer.momentum", "optimizer.name", {"sgd", "rmsprop"}},
      {"optimizer.alpha", "optimizer.name", {"rmsprop"}},
      {"optimizer.beta1", "optimizer.name", {"adam", "adamw", "adamax"}},
      {"optimizer.beta2", "optimizer.name", {"adam", "adamw", "adamax"}},
      {"optimizer.epsilon", "optimizer.name", {"adam", "adamw", "adamax", "rmsprop"}},
      {"model.flow_hidden", "model.flow", {"iaf"}},
      {"model.dilations", "model.decoder", {"causal_conv"}},
      {"model.ema_decay", "model.codebook", {"ema"}},
      {"model.capacity_steps", "model.capacity", {}, {"0"}},
      {"model.capacity_weight", "model.capacity", {}, {"0"}},
      {"model.likelihood_scale", "model.likelihood", {}, without_scale},
      {"model.likelihood_variance", "model.likelihood", {}, without_scale},
      {"model.likelihood_levels",
       "model.likelihood",
       {},
       and_counts({"bernoulli", "continuous_bernoulli", "gaussian", "laplace", "multinomial", "mixed",
                   "student_t"})},
      {"model.likelihood_degrees", "model.likelihood", {"student_t"}},
      {"model.library", "model.likelihood", counts},
      {"model.library_size", "model.library", {"observed"}},
      {"model.dispersion", "model.likelihood", {"negative_binomial", "zero_inflated_negative_binomial"}},
      {"model.likelihood_columns", "model.likelihood", {"mixed"}},
  };
  return all;
}

}  // namespace

std::vector<UnusedSetting> unused_settings(const OptionTable& table) {
  std::vector<UnusedSetting> unused;
  for (const Condition& condition : conditions()) {
    const std::string value = table.value(condition.other);
    if (!table.has(condition.key) || table.is_default(condition.key) || condition.met(value)) continue;
    std::string why = fmt::format("has no effect with {}={}", condition.other, value);
    if (!condition.needed.empty()) why += "; it needs " + join(condition.needed, " or ");
    unused.push_back({condition.key, std::move(why)});
  }
  return unused;
}

void require_settings_with_effect(const OptionTable& table) {
  if (const std::vector<UnusedSetting> unused = unused_settings(table); !unused.empty())
    usage_error("{}={}: {}", unused.front().key, table.value(unused.front().key), unused.front().why);
  const std::string schedule = table.value("optimizer.schedule");
  if (schedule == "step" && table.is_default("optimizer.schedule_steps"))
    usage_error("optimizer.schedule=step: needs optimizer.schedule_steps, the interval in steps");
  if (schedule == "range" && table.is_default("optimizer.min_lr"))
    usage_error("optimizer.schedule=range: needs optimizer.min_lr, the first learning rate, such as 1e-6");
  if (schedule == "milestones" && table.is_default("optimizer.milestones"))
    usage_error("optimizer.schedule=milestones: needs optimizer.milestones, such as 10000,20000");
}

}  // namespace elbo
