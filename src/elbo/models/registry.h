// The one table of variants. Adding one: write models/NAME.cpp with a ModelSpec, declare its spec function
// here, list it in registry.cpp (docs/adding_a_variant.md).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/data/batch.h"
#include "elbo/models/model.h"
#include "elbo/nn/networks.h"

namespace elbo {

// What building a model needs besides its own options.
struct ModelContext {
  DataShape data;
  NetworkOptions network;
  std::string name{};  // of the variant, for messages
};

// A variant with its options at present values. One object a variant and process: bind() ties its options to
// a table.
class ModelSpec {
 public:
  virtual ~ModelSpec() = default;
  virtual std::string name() const = 0;
  virtual std::string summary() const = 0;    // one line
  virtual std::string reference() const = 0;  // paper
  virtual void bind(OptionTable& table) = 0;  // under model.*
  // Parameters are drawn from `init` in order of registration. Throws usage Errors for data that the variant
  // cannot take.
  virtual std::shared_ptr<Model> build(const ModelContext& context, RandomGenerator& init) const = 0;
};

// One for each variant, each defined in the .cpp of its name.
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

std::vector<std::unique_ptr<ModelSpec>> all_models();
// Throws a usage Error that names the nearest variant.
std::unique_ptr<ModelSpec> find_model(const std::string& name);

}  // namespace elbo
