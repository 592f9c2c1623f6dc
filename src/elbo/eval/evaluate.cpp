#include "elbo/eval/evaluate.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numbers>

#include "elbo/base/index_range.h"
#include "elbo/data/binarize.h"
#include "elbo/data/loader.h"
#include "elbo/eval/ranking.h"
#include "elbo/nn/recurrent.h"
#include "elbo/objectives/bounds.h"
#include "elbo/parallel/sum_over_ranks.h"
#include "elbo/parallel/tree_sum.h"

namespace elbo {
namespace {

// A latent dimension is active if its posterior mean has a larger variance over the rows (Burda et al. 2016,
// section 3.3).
constexpr double active_variance = 0.01;
// Limits the memory of importance sampling: rows that are decoded at once.
constexpr int64_t decoded_rows = 4096;

// Offsets of all sums over rows in one vector of doubles, which is added in tree order (parallel/tree_sum.h).
struct Layout {
  std::vector<std::string> terms;  // names, in the order in which the model reports them
  bool bound = false;              // the model has an ELBO
  bool tighter_bound = false;      // its loss is another bound, -L_K
  bool kl_per_dim = false;         // encode() gives the KL of each dimension
  int64_t latent = 0, codebook = 0;

  // rows; elements that count; rows that have some; steps that count; loss; -ELBO; nll; squared error; PSNR;
  // rows with values outside [0, 1]; rows with values between the likelihood's levels; ranked rows and sums
  // over them; then the terms; then four blocks of `latent`; then the uses of
  // each vector of a codebook.
  enum Offset : int64_t {
    rows,
    elements,
    rows_with_elements,
    steps,
    loss,
    negative_elbo,
    nll,
    squared_error,
    psnr,
    outside,
    between_levels,
    ranked_rows,
    ndcg_100,
    recall_20,
    recall_50,
    first_term
  };
  int64_t latent_at(int64_t block) const {
    return first_term + static_cast<int64_t>(terms.size()) + block * latent;
  }
  enum LatentBlock : int64_t { kl, mean, mean_square, count };
  int64_t codebook_at() const { return latent_at(4); }
  int64_t size() const { return codebook_at() + codebook; }
};

double sum_of(const torch::Tensor& values) { return values.sum(torch::kFloat64).item<double>(); }

// (b, …row): 1, and 0 for padding.
torch::Tensor padding_mask(const Model& model, const Batch& batch) {
  if (!batch.length.defined() || !model.uses_length()) return torch::ones_like(batch.x);
  std::vector<int64_t> sizes(static_cast<size_t>(batch.x.dim()), 1);
  sizes[0] = batch.size();
  sizes[1] = batch.x.size(1);
  return step_mask(batch.length, sizes[0], sizes[1], batch.x.device()).view(sizes).expand_as(batch.x);
}

// Of sequences, without padding that the model leaves out.
double counted_steps(const Model& model, const Batch& batch) {
  return sum_of(padding_mask(model, batch).flatten(2).select(2, 0));
}

torch::Device device_of(Model& model) { return model.parameters().front().device(); }

Key key_of(const EvaluationOptions& options) {
  return Key(options.seed).with("evaluate").with(options.split);
}

class Evaluator {
 public:
  Evaluator(const std::vector<std::shared_ptr<Model>>& models, const RowSource& rows,
            const EvaluationOptions& options)
      : models_(models),
        rows_(rows),
        options_(options),
        binarize_key_(binarize_key(options.seed, options.split)) {
    Model& model = *models_.front();
    const torch::NoGradGuard no_grad;
    const Batch one = read(0, 1).to(device_of(model));
    RandomGenerator noise(key_of(options).with("probe"), device_of(model));
    const LossTerms terms = model.evaluate(one, noise);
    for (const auto& [name, value] : terms.parts) layout_.terms.push_back(name);
    layout_.tighter_bound = terms.negative_elbo.defined();
    layout_.bound = model.log_weights(one, 1, noise).has_value();
    layout_.kl_per_dim = model.encode(one).kl.has_value();
    layout_.latent = model.latent_size();
    layout_.codebook = model.codebook_size();
  }

  const Layout& layout() const { return layout_; }
  int64_t microbatches() const { return (rows_.rows() + options_.microbatch - 1) / options_.microbatch; }

  // Sums over the rows of one microbatch: (layout.size()) float64.
  torch::Tensor microbatch_sums(int worker, int64_t microbatch) const {
    const torch::NoGradGuard no_grad;
    Model& model = *models_[static_cast<size_t>(worker)];
    const int64_t first = microbatch * options_.microbatch;
    const Batch batch = read(first, std::min(first + options_.microbatch, rows_.rows())).to(device_of(model));
    torch::Tensor sums = torch::zeros({layout_.size()}, torch::kFloat64);
    auto* at = sums.mutable_data_ptr<double>();

    at[Layout::rows] = static_cast<double>(batch.size());
    const torch::Tensor mask = counted_elements(model, batch);
    at[Layout::elements] = sum_of(mask);
    at[Layout::rows_with_elements] = sum_of(mask.flatten(1).any(1));
    if (options_.steps) at[Layout::steps] = counted_steps(model, batch);
    RandomGenerator noise = noise_of_loss(options_, microbatch, model);
    const LossTerms terms = model.evaluate(batch, noise);
    at[Layout::loss] = sum_of(terms.loss);
    for (size_t i = 0; i < terms.parts.size(); ++i)
      at[Layout::first_term + static_cast<int64_t>(i)] = sum_of(terms.parts[i].second);
    const Latent code = model.encode(batch);
    if (model.likelihood()) {
      add_reconstruction(batch.x, model.decode_rows(code, batch), mask, at);
      at[Layout::between_levels] = sum_of(between_levels(batch.x, mask, model.likelihood()->levels()));
    }
    if (options_.ranking) add_ranking(rank_held_out(model, batch, key_of(options_).with("held_out")), at);
    add_posterior(code, sums);
    if (code.codes)
      sums.narrow(0, layout_.codebook_at(), layout_.codebook)
          .copy_(torch::bincount(code.codes->flatten().cpu(), {}, layout_.codebook));
    at[Layout::negative_elbo] = sum_of(layout_.tighter_bound ? terms.negative_elbo : terms.loss);
    if (options_.importance_samples > 0 && layout_.bound) {
      const ImportanceEstimates estimates = importance_estimates(model, batch, microbatch, options_);
      at[Layout::nll] = sum_of(estimates.nll);
      at[Layout::negative_elbo] = sum_of(estimates.negative_elbo);
    }
    return sums;
  }

 private:
  Batch read(int64_t first, int64_t end) const {
    return read_rows(rows_, first, end, options_.binarize, binarize_key_);
  }

  static void add_reconstruction(const torch::Tensor& x, const torch::Tensor& reconstruction,
                                 const torch::Tensor& mask, double* at) {
    const torch::Tensor squares = ((reconstruction - x).square() * mask).flatten(1);
    const torch::Tensor error =
        squares.sum(1, false, torch::kFloat64) / mask.flatten(1).sum(1, false, torch::kFloat64).clamp_min(1);
    at[Layout::squared_error] = sum_of(error);
    // The PSNR of a perfect reconstruction is infinite; it is limited to 100 dB. A row without elements has
    // none.
    const torch::Tensor has_elements = mask.flatten(1).any(1);
    at[Layout::psnr] = sum_of(error.clamp_min(1e-10).log10() * -10 * has_elements);
    at[Layout::outside] = sum_of(x.lt(0).logical_or(x.gt(1)).flatten(1).any(1));
  }

  static void add_ranking(const Ranking& ranking, double* at) {
    at[Layout::ranked_rows] = ranking.rows;
    at[Layout::ndcg_100] = ranking.ndcg_100;
    at[Layout::recall_20] = ranking.recall_20;
    at[Layout::recall_50] = ranking.recall_50;
  }

  // (b): whether a row has a value that is not one of the levels 0, 1/(levels-1), … 1, up to the rounding of
  // half precision.
  static torch::Tensor between_levels(const torch::Tensor& x, const torch::Tensor& mask, int64_t levels) {
    constexpr double rounding = 0x1p-12;
    if (levels == 0) return torch::ones({x.size(0)});
    const auto last = static_cast<double>(levels - 1);
    const torch::Tensor nearest = (x * last).round().clamp(0, last) / last;
    return (((x - nearest) * mask).abs() > rounding).flatten(1).any(1);
  }

  void add_posterior(const Latent& code, torch::Tensor& sums) const {
    const auto block = [&](Layout::LatentBlock index) {
      return sums.narrow(0, layout_.latent_at(index), layout_.latent);
    };
    const torch::Tensor mask = code.mask.value_or(torch::ones_like(code.z)).to(torch::kFloat64).cpu();
    const torch::Tensor z = code.standardized.value_or(code.z).to(torch::kFloat64).cpu() * mask;
    block(Layout::mean).copy_(z.sum(0));
    block(Layout::mean_square).copy_(z.square().sum(0));
    block(Layout::count).copy_(mask.sum(0));
    if (code.kl) block(Layout::kl).copy_(code.kl->sum(0, false, torch::kFloat64));
  }

  const std::vector<std::shared_ptr<Model>>& models_;
  const RowSource& rows_;
  const EvaluationOptions& options_;
  Key binarize_key_;
  Layout layout_;
};

// The sums of the maximal subtrees of this rank's microbatches; none where the evaluation was interrupted on
// any rank. Collective.
std::optional<std::vector<PartialSum>> sum_own_microbatches(Communicator& comm, Workers& workers,
                                                            const Evaluator& evaluator,
                                                            const std::function<bool()>& interrupted) {
  const int64_t microbatches = evaluator.microbatches();
  const IndexRange own = partition({0, microbatches}, comm.rank(), comm.size());
  std::vector<TreeAccumulator> accumulators(
      static_cast<size_t>(workers.count()),
      TreeAccumulator(microbatches, evaluator.layout().size(), torch::kFloat64));
  std::atomic<bool> stopped = false;
  workers.run([&](int worker) {
    const IndexRange range = partition(own, worker, workers.count());
    for (int64_t microbatch = range.first; microbatch < range.end && !stopped; ++microbatch)
      if (interrupted())
        stopped = true;
      else
        accumulators[static_cast<size_t>(worker)].add(microbatch,
                                                      evaluator.microbatch_sums(worker, microbatch));
  });
  torch::Tensor stopped_anywhere = torch::full({1}, stopped ? 1 : 0, torch::kInt32);
  comm.all_reduce(stopped_anywhere, ReduceOp::max);
  if (stopped_anywhere.item<int>() != 0) return std::nullopt;

  std::vector<PartialSum> parts;
  for (const TreeAccumulator& accumulator : accumulators)
    parts.insert(parts.end(), accumulator.parts().begin(), accumulator.parts().end());
  return subtree_sums(own, microbatches, parts);
}

// Nats of each step of sequences, and the perplexity of tokens.
void add_per_element(const Layout& layout, const double* at, Evaluation& result) {
  const double nats = result.nll.value_or(-result.elbo.value_or(0)) * at[Layout::rows];
  if (at[Layout::steps] > 0) result.nats_per_step = nats / at[Layout::steps];
  const auto tokens = std::ranges::find(layout.terms, "tokens");
  if (tokens == layout.terms.end()) return;
  const double predicted = at[Layout::first_term + (tokens - layout.terms.begin())];
  if (predicted > 0) result.perplexity_per_token = std::exp(nats / predicted);
}

double bits_per_dim(const Likelihood& likelihood, double nats, double features) {
  const double bits = nats / (features * std::numbers::ln2);
  return likelihood.discrete() ? bits : bits + std::log2(255.0);
}

// Latent dimensions that are active.
int64_t active_units(const Layout& layout, const double* sums) {
  int64_t active = 0;
  for (int64_t i = 0; i < layout.latent; ++i) {
    const double rows = std::max(1.0, sums[layout.latent_at(Layout::count) + i]);
    const double mean = sums[layout.latent_at(Layout::mean) + i] / rows;
    if (sums[layout.latent_at(Layout::mean_square) + i] / rows - mean * mean > active_variance) ++active;
  }
  return active;
}

Evaluation conclude(const Layout& layout, const torch::Tensor& sums, const EvaluationOptions& options,
                    const Likelihood* likelihood) {
  const auto* at = sums.const_data_ptr<double>();
  const double rows = at[Layout::rows];
  const auto mean = [&](int64_t offset) { return at[offset] / rows; };
  Evaluation result;
  result.split = options.split;
  result.rows = static_cast<int64_t>(rows);
  result.loss = mean(Layout::loss);
  for (size_t i = 0; i < layout.terms.size(); ++i)
    result.terms.emplace_back(layout.terms[i], mean(Layout::first_term + static_cast<int64_t>(i)));
  // Without a likelihood, reconstructions are not comparable with x.
  const double compared = std::max(1.0, at[Layout::rows_with_elements]);
  if (likelihood != nullptr) result.mse = at[Layout::squared_error] / compared;
  if (likelihood != nullptr && options.pixels && at[Layout::outside] == 0)
    result.psnr = at[Layout::psnr] / compared;
  if (layout.bound) {
    result.elbo = -mean(Layout::negative_elbo);
    if (layout.tighter_bound) result.iwae_bound = -result.loss;
    if (options.importance_samples > 0) {
      result.nll = mean(Layout::nll);
      result.importance_samples = options.importance_samples;
    }
    if (likelihood != nullptr && (likelihood->discrete() || options.pixels) &&
        at[Layout::between_levels] == 0)
      result.bits_per_dim =
          bits_per_dim(*likelihood, result.nll.value_or(result.loss), mean(Layout::elements));
    add_per_element(layout, at, result);
  }
  if (const double ranked = at[Layout::ranked_rows]; ranked > 0) {
    result.ndcg_100 = at[Layout::ndcg_100] / ranked;
    result.recall_20 = at[Layout::recall_20] / ranked;
    result.recall_50 = at[Layout::recall_50] / ranked;
  }
  for (int64_t i = 0; i < layout.latent && layout.kl_per_dim; ++i)
    result.kl_per_dim.push_back(mean(layout.latent_at(Layout::kl) + i));
  result.active_units = active_units(layout, at);
  for (int64_t i = 0; i < layout.codebook; ++i)
    result.code_uses.push_back(static_cast<int64_t>(at[layout.codebook_at() + i]));
  return result;
}

}  // namespace

std::optional<Evaluation> evaluate(Communicator& comm, Workers& workers,
                                   const std::vector<std::shared_ptr<Model>>& models, const RowSource& rows,
                                   const EvaluationOptions& options,
                                   const std::function<bool()>& interrupted) {
  const Evaluator evaluator(models, rows, options);
  const std::optional<std::vector<PartialSum>> parts =
      sum_own_microbatches(comm, workers, evaluator, interrupted);
  if (!parts) return std::nullopt;
  const torch::Tensor sums =
      sum_over_ranks(comm, *parts, evaluator.microbatches(), {evaluator.layout().size()}, torch::kFloat64);
  return conclude(evaluator.layout(), sums, options, models.front()->likelihood().get());
}

torch::Tensor counted_elements(const Model& model, const Batch& batch) {
  const torch::Tensor mask = padding_mask(model, batch);
  return batch.observed.defined() ? mask * batch.observed : mask;
}

RandomGenerator noise_of_loss(const EvaluationOptions& options, int64_t microbatch, Model& model) {
  return RandomGenerator(key_of(options).with(static_cast<uint64_t>(microbatch)), device_of(model));
}

ImportanceEstimates importance_estimates(Model& model, const Batch& batch, int64_t microbatch,
                                         const EvaluationOptions& options) {
  RandomGenerator noise(key_of(options).with("importance").with(static_cast<uint64_t>(microbatch)),
                        device_of(model));
  const int64_t at_once = std::max<int64_t>(1, decoded_rows / batch.size());
  std::vector<torch::Tensor> log_weights;
  for (int64_t done = 0; done < options.importance_samples; done += at_once)
    if (const auto drawn =
            model.log_weights(batch, std::min(at_once, options.importance_samples - done), noise))
      log_weights.push_back(*drawn);
  const torch::Tensor all = torch::cat(log_weights);
  return {-importance_weighted_bound(all), -all.mean(0, false, torch::kFloat64)};
}

torch::Tensor score_rows(Model& model, const Batch& batch, int64_t microbatch,
                         const EvaluationOptions& options) {
  if (options.importance_samples > 0) return importance_estimates(model, batch, microbatch, options).nll;
  RandomGenerator noise = noise_of_loss(options, microbatch, model);
  return model.evaluate(batch, noise).loss;
}

}  // namespace elbo
