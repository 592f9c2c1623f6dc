// The two-stage VAE of Dai & Wipf 2019 ("Diagnosing and enhancing VAE models", section 4): a second VAE,
// whose rows are samples of the first one's posteriors and whose z has as many dimensions, so that its
// aggregated posterior is close to its prior. Its decoder has a variance that is learned. For conditional
// models it is a conditional VAE with the same condition.
#include "elbo/base/options.h"
#include "elbo/commands/sampler_network.h"
#include "elbo/models/registry.h"

namespace elbo {
namespace {

std::shared_ptr<Model> second_vae(const DataShape& data, RandomGenerator& init) {
  const std::string name = data.has_labels() ? "cvae" : "vae";
  const std::unique_ptr<ModelSpec> spec = find_model(name);
  const int64_t latent = data.x.front();
  OptionTable table;
  spec->bind(table);
  table.set({"model.latent", std::to_string(latent)}, "");
  table.set({"model.likelihood", "gaussian"}, "");
  table.set({"model.likelihood_variance", "learned"}, "");
  NetworkOptions network;
  network.kind = "mlp";
  network.hidden = {hidden_width(latent), hidden_width(latent)};
  network.init = "he";
  return spec->build({.data = data, .network = network, .name = name}, init);
}

}  // namespace

std::unique_ptr<FittedSampler> make_two_stage_sampler(const SamplerOptions& options, const RunInUse& used) {
  return make_network_sampler("two_stage", second_vae, options, used);
}

}  // namespace elbo
