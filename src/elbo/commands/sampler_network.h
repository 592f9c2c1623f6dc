// Samplers that are networks, trained on the codes of training rows: each is a small Model whose rows are
// codes.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "elbo/base/random.h"
#include "elbo/commands/samplers.h"
#include "elbo/models/model.h"

namespace elbo {

// A model of codes: data.x is (latent), with the labels that the run's own model is conditioned on, if it is.
using MakeCodeModel = std::function<std::shared_ptr<Model>(const DataShape& data, RandomGenerator& init)>;

// Throws a usage Error for codes that do not fit in memory.
std::unique_ptr<FittedSampler> make_network_sampler(std::string name, MakeCodeModel make,
                                                    const SamplerOptions& options, const RunInUse& used);

// Width of the two hidden layers of such networks.
int64_t hidden_width(int64_t latent);

}  // namespace elbo
