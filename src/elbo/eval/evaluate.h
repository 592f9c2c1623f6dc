// Evaluation of a model on every row of a split, sharded over ranks and workers. The results have the same
// bits for every number of ranks and workers.
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
  int64_t microbatch = 128;        // rows of a microbatch; the last one may have fewer
  int64_t importance_samples = 0;  // K of the importance-weighted bound; 0: not computed
  std::string binarize = "none";   // as in training; anything but none: one fixed sample for each row
  uint64_t seed = 0;               // of the run
  bool pixels =
      false;  // rows are images or videos in [0, 1]: their PSNR and the bits of a density mean something
  bool ranking = false;  // rows are interactions: how well held-out items are ranked is measured
  bool steps = false;    // rows are sequences (time, features): nats of each step mean something
};

// Means over the rows of the split, in nats per row unless noted.
struct Evaluation {
  std::string split;
  int64_t rows = 0;
  double loss = 0;                                    // compared for the best checkpoint and early stopping
  std::vector<std::pair<std::string, double>> terms;  // reconstruction, kl, …
  std::optional<double> elbo;        // of models that have one; with importance samples, the mean over them
  std::optional<double> iwae_bound;  // L_K of a model that is trained on it, whose loss is -L_K
  std::optional<double> nll;  // -log p(x) estimated with K importance samples (Burda et al. 2016, eq. 8)
  int64_t importance_samples = 0;
  // Of rows whose values are all on the likelihood's levels (nn/likelihood.h). A density is converted to
  // bytes by + log2(255), for pixels only.
  std::optional<double> bits_per_dim;
  // nll, or else -ELBO, divided by the number of steps of all rows, without padding if the model leaves it
  // out.
  std::optional<double> nats_per_step;
  // exp of the same for the number of predicted tokens.
  std::optional<double> perplexity_per_token;
  // Of reconstructions; missing elements, and rows without elements, do not count.
  std::optional<double> mse;   // per element; none if likelihood() is null
  std::optional<double> psnr;  // dB, mean over rows, peak 1; pixels only
  // Of interactions, means over the rows with two or more of them (eval/ranking.h).
  std::optional<double> ndcg_100, recall_20, recall_50;
  // Latent dimensions whose posterior mean, in standard deviations of its prior, has a variance of more than
  // 0.01 over the rows (Burda et al. 2016), without padding.
  std::optional<int64_t> active_units;
  // (latent). Of models whose z has levels or steps: at the means of the levels before, so its sum is not kl.
  std::vector<double> kl_per_dim;
  std::vector<int64_t> code_uses;  // of each vector of a codebook, over all rows; empty for other models
};

// Collective; every rank gets the result. models: one replica for each worker. Workers call `interrupted`
// before each microbatch; if it returns true on any rank, there is no result.
std::optional<Evaluation> evaluate(
    Communicator& comm, Workers& workers, const std::vector<std::shared_ptr<Model>>& models,
    const RowSource& rows, const EvaluationOptions& options,
    const std::function<bool()>& interrupted = [] { return false; });

// (b): the losses of the rows of a microbatch whose mean evaluate() computes, with the same random numbers;
// with importance samples their -log p(x), for which the model must have a bound.
torch::Tensor score_rows(Model& model, const Batch& batch, int64_t microbatch,
                         const EvaluationOptions& options);

// (b, …row): 1, and 0 for padding that the model leaves out and for missing elements.
torch::Tensor counted_elements(const Model& model, const Batch& batch);

// -log p(x) and -ELBO, (b) each float64: estimates from options.importance_samples ≥ 1 samples of a model
// that has a bound; -ELBO is their mean.
struct ImportanceEstimates {
  torch::Tensor nll, negative_elbo;
};
ImportanceEstimates importance_estimates(Model& model, const Batch& batch, int64_t microbatch,
                                         const EvaluationOptions& options);
// The random numbers of the loss of a microbatch.
RandomGenerator noise_of_loss(const EvaluationOptions& options, int64_t microbatch, Model& model);

}  // namespace elbo
