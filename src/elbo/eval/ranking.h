// How well a model of interactions ranks items that it has not seen (Liang et al. 2018, section 4.2): a fifth
// of each row's interactions is held out, the encoder sees the others, and the items that it has not seen are
// ranked by the decoder's mean.
#pragma once
#include <torch/types.h>

#include "elbo/base/random.h"
#include "elbo/data/batch.h"
#include "elbo/models/model.h"

namespace elbo {

// x (b, items) with a fifth of each row's interactions, at least one, set to 0; none of a row with fewer than
// two. Which ones depends on `key` and the number of the row alone.
torch::Tensor hold_out_interactions(const torch::Tensor& x, const torch::Tensor& ids, Key key);

// Sums over rows with held-out items.
struct Ranking {
  double rows = 0;
  double ndcg_100 = 0;   // the discounted gain of the first 100 items, in units of the best possible
  double recall_20 = 0;  // held-out items among the first 20, divided by the smaller of 20 and their number
  double recall_50 = 0;
};

// scores (b, items) of which higher is better, x (b, items) and `seen`, the part of it that the model saw.
Ranking rank_items(const torch::Tensor& scores, const torch::Tensor& x, const torch::Tensor& seen);

Ranking rank_held_out(Model& model, const Batch& batch, Key key);

}  // namespace elbo
