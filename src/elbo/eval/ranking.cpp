#include "elbo/eval/ranking.h"

#include <torch/types.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace elbo {

torch::Tensor hold_out_interactions(const torch::Tensor& x, const torch::Tensor& ids, Key key) {
  constexpr int64_t part = 5;
  torch::Tensor seen = x.cpu().clone();
  for (int64_t row = 0; row < x.size(0); ++row) {
    const torch::Tensor items = seen[row].nonzero().squeeze(1);
    const int64_t count = items.size(0);
    if (count < 2) continue;
    const Permutation order(static_cast<uint64_t>(count),
                            key.with(static_cast<uint64_t>(ids[row].item<int64_t>())));
    const auto held = static_cast<uint64_t>(std::max<int64_t>(1, count / part));
    for (uint64_t i = 0; i < held; ++i) seen[row][items[static_cast<int64_t>(order(i))].item<int64_t>()] = 0;
  }
  return seen.to(x.device());
}

Ranking rank_items(const torch::Tensor& scores, const torch::Tensor& x, const torch::Tensor& seen) {
  constexpr int64_t most = 100;
  const int64_t first = std::min(most, x.size(1));
  const torch::Tensor held = x.ne(0).logical_and(seen.eq(0));
  const torch::Tensor unseen = scores.masked_fill(seen.ne(0), -std::numeric_limits<double>::infinity());
  const torch::Tensor hits = held.gather(1, std::get<1>(unseen.topk(first, 1))).to(torch::kFloat64);
  const torch::Tensor discount = torch::arange(2, first + 2, hits.options()).log2().reciprocal();
  const torch::Tensor count = held.sum(1), ranked = count.gt(0);
  const torch::Tensor best = discount.cumsum(0).index_select(0, count.clamp(1, first) - 1);
  const auto sum = [&](const torch::Tensor& of_row) {
    return of_row.masked_select(ranked).sum().item<double>();
  };
  const auto recall = [&](int64_t places) {
    const torch::Tensor possible = count.clamp(1, places).to(torch::kFloat64);
    return sum(hits.narrow(1, 0, std::min(places, first)).sum(1) / possible);
  };
  return {.rows = static_cast<double>(ranked.sum().item<int64_t>()),
          .ndcg_100 = sum((hits * discount).sum(1) / best),
          .recall_20 = recall(20),
          .recall_50 = recall(50)};
}

Ranking rank_held_out(Model& model, const Batch& batch, Key key) {
  Batch kept = batch;
  kept.x = hold_out_interactions(batch.x, batch.ids, key);
  const torch::Tensor scores = model.decode(model.encode(kept).z, batch.label);
  return rank_items(scores, batch.x, kept.x);
}

}  // namespace elbo
