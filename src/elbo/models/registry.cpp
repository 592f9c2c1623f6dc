#include "elbo/models/registry.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/models/builtin_models.h"

namespace elbo {

// Each is defined in models/NAME.cpp.
std::unique_ptr<ModelSpec> vae_spec();
std::unique_ptr<ModelSpec> autoencoder_spec();
std::unique_ptr<ModelSpec> beta_vae_spec();
std::unique_ptr<ModelSpec> cvae_spec();
std::unique_ptr<ModelSpec> denoising_vae_spec();
std::unique_ptr<ModelSpec> beta_tc_vae_spec();
std::unique_ptr<ModelSpec> iwae_spec();
std::unique_ptr<ModelSpec> miwae_spec();
std::unique_ptr<ModelSpec> info_vae_spec();
std::unique_ptr<ModelSpec> wae_mmd_spec();
std::unique_ptr<ModelSpec> dip_vae_spec();
std::unique_ptr<ModelSpec> factor_vae_spec();
std::unique_ptr<ModelSpec> sequence_vae_spec();
std::unique_ptr<ModelSpec> vq_vae_spec();
std::unique_ptr<ModelSpec> aae_spec();
std::unique_ptr<ModelSpec> gan_spec();
std::unique_ptr<ModelSpec> vae_gan_spec();
std::unique_ptr<ModelSpec> vrnn_spec();
std::unique_ptr<ModelSpec> hierarchical_vae_spec();
std::unique_ptr<ModelSpec> iaf_vae_spec();
std::unique_ptr<ModelSpec> vamp_vae_spec();
std::unique_ptr<ModelSpec> m2_vae_spec();

std::vector<std::unique_ptr<ModelSpec>> builtin_models() {
  std::vector<std::unique_ptr<ModelSpec>> models;
  for (const auto make : {vae_spec,
                          autoencoder_spec,
                          beta_vae_spec,
                          cvae_spec,
                          denoising_vae_spec,
                          beta_tc_vae_spec,
                          iwae_spec,
                          miwae_spec,
                          info_vae_spec,
                          wae_mmd_spec,
                          dip_vae_spec,
                          factor_vae_spec,
                          sequence_vae_spec,
                          vq_vae_spec,
                          aae_spec,
                          gan_spec,
                          vae_gan_spec,
                          vrnn_spec,
                          hierarchical_vae_spec,
                          iaf_vae_spec,
                          vamp_vae_spec,
                          m2_vae_spec})
    models.push_back(make());
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
