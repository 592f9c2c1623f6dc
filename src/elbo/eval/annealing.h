// log p(x) by annealed importance sampling (Neal 2001), as Wu, Burda, Salakhutdinov & Grosse 2017 measure
// decoders: chains of codes from the prior to the posterior, p(z) p(x|z)^β with β from 0 to 1 along a
// sigmoid, moved by Hamiltonian Monte Carlo (Neal 2011, eq. 5.19–5.21). It needs no encoder: it also measures
// what an encoder's gap hides from importance sampling. In expectation each weight is p(x), so the estimate
// is a stochastic lower bound of log p(x).
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/base/random.h"
#include "elbo/data/batch.h"
#include "elbo/models/model.h"

namespace elbo {

struct AnnealingOptions {
  int64_t chains = 16;         // of each row
  int64_t temperatures = 500;  // values of β after 0
  int64_t leapfrog_steps = 10;
};

struct AnnealedEstimate {
  torch::Tensor log_likelihood;  // (b) float64, nats
  torch::Tensor acceptance;      // (b) float64: fraction of the proposals that were accepted
};

// The model must have a log_joint(). A step size of each chain follows its acceptance (target 0.65, as in the
// paper's code). Time: chains · temperatures · (leapfrog_steps + 1) passes of the decoder, forward and
// backward.
AnnealedEstimate anneal(Model& model, const Batch& batch, const AnnealingOptions& options,
                        RandomGenerator& noise);

}  // namespace elbo
