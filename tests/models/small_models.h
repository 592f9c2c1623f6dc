// Small data of every kind, and models for them.
#pragma once
#include <torch/types.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "elbo/models/registry.h"

namespace elbo {

// image, labelled_image, attributed_image, volume, tabular, sequence, video, tokens
std::vector<std::string> data_names();
DataShape small_data(const std::string& name);
Batch rows(const std::string& data, int64_t n, uint64_t seed = 1);

// The model with these settings. Throws as ModelSpec::build() does.
std::unique_ptr<ModelSpec> with_options(const std::string& name, const std::vector<Setting>& settings);
std::shared_ptr<Model> small_model(const std::string& name, const std::string& data,
                                   const std::vector<Setting>& settings = {});

struct Case {
  std::string model, data;
};
std::ostream& operator<<(std::ostream& out, const Case& tested);
std::string refusal_of(const std::string& model, const std::string& data);  // "": accepted
// Every variant with the kinds of data that it accepts. Only conditional models use labels, so the others
// have each kind once.
std::vector<Case> accepted_cases();

// A named part of an objective; a test failure where there is none of the name.
torch::Tensor part(const LossTerms& terms, const std::string& name);

bool belongs_to(const Phase& phase, const std::string& parameter);

// `steps` steps on one batch with Adam, phase by phase as in the trainer.
void learn(Model& model, const Batch& batch, int64_t steps, double lr = 0.01,
           const std::function<bool()>& enough = {});  // after each 20 steps: whether to stop

}  // namespace elbo
