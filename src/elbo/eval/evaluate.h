// Exact evaluation: every row of a split once, sharded over ranks and workers, the same digits for every
// number of them.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/comm/communicator.h"
#include "elbo/data/row_source.h"
#include "elbo/models/model.h"
#include "elbo/parallel/workers.h"

namespace elbo {

struct EvaluationOptions {
  std::string split = "test";
  int64_t microbatch = 128;        // rows of an evaluation leaf; the last leaf has fewer
  int64_t importance_samples = 0;  // K of the importance-weighted bound; 0: not computed
  std::string binarize = "none";   // as in training; a test set is binarised by one fixed draw a row
  uint64_t seed = 0;               // the run's
};

// All means over the rows of the split, in nats per sample.
struct Evaluation {
  std::string split;
  int64_t rows = 0;
  double loss = 0;                                    // what best and early stopping compare
  std::vector<std::pair<std::string, double>> terms;  // reconstruction, kl, …
  std::optional<double> elbo;                         // models with a bound
  std::optional<double> nll;  // -log p(x) by K importance samples (Burda et al. 2016, eq. 8)
  int64_t importance_samples = 0;
  std::optional<double> bits_per_dim;  // where the likelihood is of discrete data
  std::optional<double> mse;           // of reconstructions, per element; none for rows of tokens
  std::optional<double> psnr;          // dB, mean over rows, peak 1; rows in [0, 1] only
  std::optional<int64_t>
      active_units;  // latent dimensions whose posterior mean varies by more than 0.01 (Burda et al. 2016)
  // (latent); where z is drawn in levels or steps, at the means of those before, so it does not add up to kl.
  std::vector<double> kl_per_dim;
};

// models: one replica a worker. Collective: every rank calls it, every rank gets the result; none where
// `interrupted` said so on any rank, which is asked between two leaves.
std::optional<Evaluation> evaluate(
    Communicator& comm, Workers& workers, const std::vector<std::shared_ptr<Model>>& models,
    const RowSource& rows, const EvaluationOptions& options,
    const std::function<bool()>& interrupted = [] { return false; });

// Of each row of a leaf, (b): what evaluate() averages as its loss, with the same noise; with importance
// samples what it averages as nll. The model must have a bound then.
torch::Tensor score_rows(Model& model, const Batch& batch, int64_t microbatch,
                         const EvaluationOptions& options);

}  // namespace elbo
