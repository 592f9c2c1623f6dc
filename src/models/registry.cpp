#include "models/registry.h"

#include "base/error.h"
#include "base/text.h"

namespace elbo {

std::vector<std::unique_ptr<ModelSpec>> all_models() {
  std::vector<std::unique_ptr<ModelSpec>> models;
  models.push_back(vae_spec());
  models.push_back(autoencoder_spec());
  return models;
}

std::unique_ptr<ModelSpec> find_model(const std::string& name) {
  std::vector<std::string> names;
  for (std::unique_ptr<ModelSpec>& model : all_models()) {
    if (model->name() == name) return std::move(model);
    names.push_back(model->name());
  }
  const std::string nearest = nearest_name(name, names);
  if (nearest.empty()) usage_error("model {}: no such model; there are {}", name, join(names, ", "));
  usage_error("model {}: no such model; did you mean {}?", name, nearest);
}

}  // namespace elbo
