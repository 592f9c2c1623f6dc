// A VAE whose KL term is annealed in cycles (Fu et al., Cyclical Annealing Schedule, 2019): in each cycle its
// weight rises from 0 to 1 in the first half and stays 1 in the second.
#include <algorithm>

#include "elbo/models/builtin_models.h"
#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"

namespace {

struct Options : elbo::GaussianVaeOptions {
  int64_t cycle = 1000;
  void bind(elbo::OptionTable& table) {
    elbo::GaussianVaeOptions::bind(table);
    table.add("model.cycle", cycle, "steps of a cycle of the KL term's weight", elbo::Range::at_least(2));
  }
};

class CyclicalVae : public elbo::GaussianVae {
 public:
  CyclicalVae(const elbo::ModelContext& context, const Options& options, elbo::RandomGenerator& init)
      : GaussianVae(context, options, init), cycle_(options.cycle) {}

  elbo::LossTerms objective(const elbo::StepContext& step_context, const elbo::Batch& batch,
                            elbo::RandomGenerator& noise) override {
    const double position = static_cast<double>(step_context.step % cycle_) / static_cast<double>(cycle_);
    return weighted_bound(infer(batch), batch, noise, {.beta = std::min(1.0, 2 * position)},
                          step_context.step);
  }

 private:
  int64_t cycle_;
};

}  // namespace

// The table that all commands read: elbo's own variants and this one.
std::vector<std::unique_ptr<elbo::ModelSpec>> elbo::all_models() {
  auto models = builtin_models();
  models.push_back(
      std::make_unique<SpecOf<CyclicalVae, Options>>("cyclical_vae", "VAE whose KL weight rises in cycles",
                                                     "Fu et al., Cyclical Annealing Schedule, NAACL 2019"));
  return models;
}
