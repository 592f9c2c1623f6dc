#include "elbo/models/registry.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/models/builtin_models.h"

namespace elbo {

std::vector<std::unique_ptr<ModelSpec>> builtin_models() {
  std::vector<std::unique_ptr<ModelSpec>> models;
  models.push_back(vae_spec());
  models.push_back(autoencoder_spec());
  models.push_back(beta_vae_spec());
  models.push_back(cvae_spec());
  models.push_back(denoising_vae_spec());
  models.push_back(beta_tc_vae_spec());
  models.push_back(iwae_spec());
  models.push_back(miwae_spec());
  models.push_back(info_vae_spec());
  models.push_back(wae_mmd_spec());
  models.push_back(dip_vae_spec());
  models.push_back(factor_vae_spec());
  models.push_back(sequence_vae_spec());
  models.push_back(vq_vae_spec());
  models.push_back(aae_spec());
  models.push_back(gan_spec());
  models.push_back(vae_gan_spec());
  models.push_back(vrnn_spec());
  models.push_back(hierarchical_vae_spec());
  models.push_back(iaf_vae_spec());
  models.push_back(vamp_vae_spec());
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
