// Where new codes come from: the model's prior, or a distribution that is fitted to the codes of the training
// rows and kept in the folder of the run. Its decoder makes rows of them.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "elbo/base/options.h"
#include "elbo/commands/saved_run_command.h"
#include "elbo/eval/mixture.h"
#include "elbo/models/model.h"

namespace elbo {

struct SamplerOptions {
  std::string sampler = "prior";
  int64_t components = 10;
  int64_t fitted_rows = 50000;    // training rows that a distribution is fitted to, at most
  void bind(OptionTable& table);  // all but fitted_rows
};

class CodeSampler {
 public:
  virtual ~CodeSampler() = default;
  // z (n, latent) on the device of the run. label: (n, …), as the model's decoder takes it; undefined for
  // models without a condition. Thread-safe.
  virtual torch::Tensor sample(int64_t n, const torch::Tensor& label, RandomGenerator& noise) const = 0;
};

// What options.sampler names, for this checkpoint; null for the prior. It is read from the folder of the run
// if it was fitted with the same options to the codes of the same checkpoint, else fitted and written there.
// Throws usage Errors: a variant without such codes, no training rows, too few of them (of a class).
// Collective.
std::shared_ptr<const CodeSampler> open_sampler(const SamplerOptions& options, const RunInUse& used,
                                                Workers& workers);

// New rows (n, …row): of z from the sampler, or from the prior where it is null.
torch::Tensor generate_rows(Model& model, const CodeSampler* sampler, int64_t n, const torch::Tensor& label,
                            const ElementChoice& choice, RandomGenerator& noise);

// For the samplers themselves: codes of training rows, at most `most` at equal distances, in parts of
// about a thousand rows. Where the model has a posterior, a code is a sample of it: the codes follow the
// aggregated posterior, 1/N Σ q(z|x). Collective.
struct TrainingCodes {
  SharedPoints points;
  std::vector<torch::Tensor> labels;  // of each own part; undefined where the rows have none
};
TrainingCodes codes_of_training_rows(const RunInUse& used, Workers& workers, int64_t most);

std::shared_ptr<const CodeSampler> open_mixture_sampler(const SamplerOptions& options, const RunInUse& used,
                                                        Workers& workers);

}  // namespace elbo
