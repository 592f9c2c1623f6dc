// The multiply importance-weighted autoencoder of Rainforth et al. 2018, section 4: the mean of M bounds of K
// samples each, between iwae (M = 1) and vae (K = 1).
#include "elbo/models/iwae.h"
#include "elbo/models/spec.h"

namespace elbo {
namespace {

struct MiwaeOptions : IwaeOptions {
  MiwaeOptions() { groups = 8, samples = 8; }
  void bind(OptionTable& table) {
    IwaeOptions::bind(table);
    table.add("model.groups", groups, "number M of bounds whose mean is taken", Range::between(1, 1 << 16));
  }
};

}  // namespace

std::unique_ptr<ModelSpec> miwae_spec() {
  return std::make_unique<SpecOf<Iwae, MiwaeOptions>>(
      "miwae", "VAE trained on the mean of several importance-weighted bounds",
      "Rainforth et al., Tighter Variational Bounds are Not Necessarily Better, ICML 2018");
}

}  // namespace elbo
