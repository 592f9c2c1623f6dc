#include "small_models.h"

#include <gtest/gtest.h>
#include <torch/optim/adam.h>

#include <algorithm>
#include <map>

#include "elbo/base/error.h"

namespace elbo {
namespace {

const std::map<std::string, DataShape>& shapes() {
  static const std::map<std::string, DataShape> all{
      {"image", {.x = {1, 16, 16}, .kind = "image", .in_unit_interval = true}},
      {"labelled_image", {.x = {1, 16, 16}, .kind = "image", .in_unit_interval = true, .classes = 3}},
      {"attributed_image",
       {.x = {1, 16, 16}, .kind = "image", .in_unit_interval = true, .label_features = 2}},
      {"volume", {.x = {1, 8, 9, 8}, .kind = "volume", .in_unit_interval = true}},
      {"tabular", {.x = {6}, .kind = "tabular"}},
      {"sequence", {.x = {8, 3}, .kind = "sequence"}},
      {"video", {.x = {3, 1, 16, 16}, .kind = "sequence"}},
      {"tokens", {.x = {8}, .kind = "tokens", .integer_x = true, .tokens = 11}},
  };
  return all;
}

}  // namespace

std::vector<std::string> data_names() {
  std::vector<std::string> names;
  for (const auto& [name, shape] : shapes()) names.push_back(name);
  return names;
}

DataShape small_data(const std::string& name) { return shapes().at(name); }

Batch rows(const std::string& data, int64_t n, uint64_t seed) {
  const DataShape shape = small_data(data);
  std::vector<int64_t> sizes{n};
  sizes.insert(sizes.end(), shape.x.begin(), shape.x.end());
  RandomGenerator noise(Key{seed});
  Batch batch{shape.is_unit_image() ? noise.uniform(sizes) : noise.normal(sizes), {}, torch::arange(n)};
  if (shape.classes > 0) batch.label = batch.ids.remainder(shape.classes);
  if (shape.label_features > 0) batch.label = noise.normal({n, shape.label_features});
  if (shape.tokens > 0) {
    // <bos>, words, <eos>, <pad>s (docs/data_format.md).
    batch.length = 3 + batch.ids.remainder(shape.x[0] - 2);
    batch.x = (4 + noise.uniform(sizes) * static_cast<double>(shape.tokens - 4)).floor();
    const torch::Tensor place = torch::arange(shape.x[0]).unsqueeze(0), last = batch.length.unsqueeze(1) - 1;
    batch.x.masked_fill_(place.eq(0), 1).masked_fill_(place.eq(last), 2).masked_fill_(place.gt(last), 0);
  }
  return batch;
}

std::unique_ptr<ModelSpec> with_options(const std::string& name, const std::vector<Setting>& settings) {
  std::unique_ptr<ModelSpec> spec = find_model(name);
  OptionTable table;
  spec->bind(table);
  for (const Setting& setting : settings) table.set(setting, "--");
  return spec;
}

std::shared_ptr<Model> small_model(const std::string& name, const std::string& data,
                                   const std::vector<Setting>& settings) {
  ModelContext context{};
  context.data = small_data(data);
  context.name = name;
  context.data.rows = 100;
  context.network.hidden = {16};
  context.network.channels = {4, 8};
  RandomGenerator init(Key(1));
  return with_options(name, settings)->build(context, init);
}

std::string refusal_of(const std::string& model, const std::string& data) {
  try {
    small_model(model, data);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::ostream& operator<<(std::ostream& out, const Case& tested) {
  return out << tested.model << " on " << tested.data;
}

std::vector<Case> accepted_cases() {
  std::vector<Case> cases;
  for (const auto& spec : all_models())
    for (const std::string& data : data_names()) {
      if (!refusal_of(spec->name(), data).empty()) continue;
      const bool differs = data != "image" && data != "attributed_image";
      if (differs || small_model(spec->name(), data)->conditional()) cases.push_back({spec->name(), data});
    }
  return cases;
}

torch::Tensor part(const LossTerms& terms, const std::string& name) {
  for (const auto& [each, value] : terms.parts)
    if (each == name) return value;
  ADD_FAILURE() << "no term " << name;
  return {};
}

bool belongs_to(const Phase& phase, const std::string& parameter) {
  return phase.modules.empty() || std::ranges::any_of(phase.modules, [&](const std::string& module) {
           return parameter.starts_with(module + ".");
         });
}

void learn(Model& model, const Batch& batch, int64_t steps, double lr, const std::function<bool()>& enough) {
  std::vector<std::unique_ptr<torch::optim::Adam>> optimizers;
  for (const Phase& phase : model.phases()) {
    std::vector<torch::Tensor> own;
    for (const auto& parameter : model.named_parameters())
      if (belongs_to(phase, parameter.key())) own.push_back(parameter.value());
    optimizers.push_back(
        std::make_unique<torch::optim::Adam>(own, torch::optim::AdamOptions(lr * phase.lr_factor)));
  }
  for (int64_t step = 0; step < steps; ++step) {
    const std::vector<Phase> phases = model.phases();
    for (size_t i = 0; i < phases.size(); ++i) {
      if (!phases[i].active(step)) continue;
      const StepContext step_context{phases[i].name, step, 0};
      RandomGenerator noise(Key(3).with(static_cast<uint64_t>(step)).with(phases[i].name));
      model.zero_grad();
      const LossTerms terms = model.objective(step_context, batch, noise);
      (terms.loss.sum() / static_cast<double>(batch.size())).backward();
      optimizers[i]->step();
      if (terms.statistics.defined()) model.update_statistics(step_context, terms.statistics);
    }
    if (enough && step % 20 == 19 && enough()) return;
  }
}

}  // namespace elbo
