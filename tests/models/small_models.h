// Small data of every kind, and models that are made for them.
#pragma once
#include <torch/types.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "elbo/models/registry.h"

namespace elbo {

// image, labelled_image, attributed_image, tabular, sequence, video, tokens
std::vector<std::string> data_names();
DataShape small_data(const std::string& name);
Batch rows(const std::string& data, int64_t n, uint64_t seed = 1);

// With its options at `settings`; throws what its build throws.
std::unique_ptr<ModelSpec> with_options(const std::string& name, const std::vector<Setting>& settings);
std::shared_ptr<Model> small_model(const std::string& name, const std::string& data,
                                   const std::vector<Setting>& settings = {});

struct Case {
  std::string model, data;
};
std::ostream& operator<<(std::ostream& out, const Case& tested);
std::string refusal_of(const std::string& model, const std::string& data);  // "": it is taken
// Every variant with the kinds of data that it takes. Labels make a difference to conditional models alone,
// so the others have each kind once.
std::vector<Case> accepted_cases();

// A named part of an objective; a test failure where there is none of the name.
torch::Tensor part(const LossTerms& terms, const std::string& name);

bool belongs_to(const Phase& phase, const std::string& parameter);

// The given number of steps on one batch with Adam, phase after phase, as the trainer takes them.
void learn(Model& model, const Batch& batch, int64_t steps, double lr = 0.01);

}  // namespace elbo
