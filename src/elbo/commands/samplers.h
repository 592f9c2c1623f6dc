// Where new codes come from: the model's prior, or a distribution that is fitted to the codes of the training
// rows and kept in the folder of the run. Its decoder makes rows of them. Each fitted sampler is a file
// commands/sampler_*.cpp; samplers.cpp has their table.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/commands/saved_run_command.h"
#include "elbo/models/model.h"
#include "elbo/parallel/workers.h"
#include "elbo/run/checkpoint.h"

namespace elbo {

struct SamplerOptions {
  std::string sampler = "prior";
  std::string components = "auto", steps = "auto";  // a number, or what the sampler takes without one
  int64_t fitted_rows = 50000;                      // training rows that a distribution is fitted to, at most
  void bind(OptionTable& table);                    // all but fitted_rows
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

// A sampler with values that are fitted and kept.
class FittedSampler : public CodeSampler {
 public:
  // What the values depend on besides the checkpoint, by name.
  using FitSettings = std::vector<std::pair<std::string, int64_t>>;
  virtual FitSettings settings() const = 0;
  // The values by name, on the CPU and of their final shapes: what the file keeps and ranks broadcast. They
  // are written in place.
  virtual std::vector<NamedTensor> tensors() = 0;
  // Fits the values, and logs how. Those of rank 0 count. Collective.
  virtual void fit(const RunInUse& used, Workers& workers) = 0;
  // Once, before the first sample: the values are there, and samples are made on the device.
  virtual void use_on(torch::Device device) = 0;
};

// Each throws a usage Error for a run that it cannot be fitted to.
std::unique_ptr<FittedSampler> make_gmm_sampler(const SamplerOptions& options, const RunInUse& used);
std::unique_ptr<FittedSampler> make_vampprior_sampler(const SamplerOptions& options, const RunInUse& used);
std::unique_ptr<FittedSampler> make_two_stage_sampler(const SamplerOptions& options, const RunInUse& used);
std::unique_ptr<FittedSampler> make_flow_sampler(const SamplerOptions& options, const RunInUse& used);

}  // namespace elbo
