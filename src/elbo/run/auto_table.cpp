#include "elbo/run/auto_table.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>

#include "elbo/run/normalization.h"
#include "elbo/run/row_pass.h"
#include "elbo/run/table_columns.h"

namespace elbo {
namespace {

// x, with the mean of the column's observed values where it is missing.
torch::Tensor completed(const Batch& batch) {
  if (!batch.observed.defined()) return batch.x;
  const torch::Tensor mean = batch.x.sum(0) / batch.observed.sum(0).clamp_min(1);
  return torch::where(batch.observed, batch.x, mean);
}

// A column of the sample with whole numbers from 0 on may hold categories or counts: all rows must be looked
// at.
bool may_hold_whole_numbers(const torch::Tensor& sample) {
  const torch::Tensor whole = sample.eq(sample.round()).all(0);
  return whole.logical_and(std::get<0>(sample.min(0)).eq(0)).any().item<bool>();
}

// Numbers of columns that are not constant; a category counts as one.
struct KindCounts {
  int64_t gaussian = 0, bernoulli = 0, count = 0, category = 0;
  int64_t not_gaussian() const { return bernoulli + count + category; }
};

KindCounts count_kinds(const TableColumns& table) {
  KindCounts kinds;
  size_t column = 0;
  for (const ColumnBlock& block : table.blocks) {
    const bool varies = !table.values[column].constant();
    if (block.kind == ColumnKind::categorical) ++kinds.category;
    if (block.kind == ColumnKind::gaussian && varies) ++kinds.gaussian;
    if (block.kind == ColumnKind::bernoulli && varies) ++kinds.bernoulli;
    if (block.kind == ColumnKind::count && varies) ++kinds.count;
    column += static_cast<size_t>(block.columns);
  }
  return kinds;
}

// Whole numbers in many columns are one quantity, such as the pixels of an image or the words of a text, and
// not variables of several kinds.
bool one_quantity(const TableColumns& table) {
  constexpr size_t many = 32;
  const auto whole = [](const ColumnValues& values) { return values.whole && values.lowest >= 0; };
  const auto more_than_binary = [](const ColumnValues& values) { return values.highest > 1; };
  return table.values.size() >= many && std::ranges::all_of(table.values, whole) &&
         2 * std::ranges::count_if(table.values, more_than_binary) >= std::ssize(table.values);
}

// Counts of events in many columns, such as of genes in a cell, a few of them large.
bool holds_counts(const DataShape& shape, const torch::Tensor& sample, const TableColumns& table) {
  if (shape.kind == "counts") return sample.eq(sample.round()).logical_and(sample.ge(0)).all().item<bool>();
  constexpr double large = 20;  // in means
  double highest = 0, total = 0;
  for (const ColumnValues& values : table.values) {
    highest = std::max(highest, values.highest);
    total += values.mean;
  }
  return one_quantity(table) && highest * static_cast<double>(table.values.size()) > large * total;
}

// The setting of scVI (Lopez et al. 2018).
void choose_counts(Choices& choices, int64_t features, int64_t warmup_steps) {
  choices.choose("model.name", "vae", "counts, such as of genes in cells: scVI (Lopez et al. 2018)");
  choices.choose("model.latent", std::clamp<int64_t>(features / 2, 1, 10), "scVI's size");
  choices.choose("model.likelihood", "negative_binomial",
                 "counts, which vary more than a Poisson distribution");
  choices.choose("model.library", "observed",
                 "sums of rows differ, which says nothing about their fractions");
  choices.choose("model.warmup_steps", warmup_steps, warmup_reason);
  choices.choose("network.hidden", rounded(static_cast<double>(features) / 2, 8, 64, 128),
                 "half as wide as a row, from 64 to 128");
}

torch::Tensor standardized(const torch::Tensor& sample) {
  const torch::Tensor deviation = sample.std(0, /*unbiased=*/false);
  return (sample - sample.mean(0)) / torch::where(deviation.gt(0), deviation, torch::ones_like(deviation));
}

// The number of principal components of x (n, features) that explain the share of its variance.
int64_t principal_components(const torch::Tensor& x, double share) {
  const torch::Tensor centred = x - x.mean(0);
  const bool wide = x.size(1) > x.size(0);
  const torch::Tensor products = wide ? centred.matmul(centred.t()) : centred.t().matmul(centred);
  const torch::Tensor variance = torch::linalg_eigvalsh(products).flip(0).clamp_min(0).cumsum(0);
  return variance.lt(share * variance[-1]).sum().item<int64_t>() + 1;
}

// Of z, which it returns: x as the model sees it.
int64_t choose_latent(Choices& choices, const torch::Tensor& x, int64_t rows) {
  constexpr double share = 0.9;
  constexpr int64_t rows_of_dimension = 40, most = 64;
  const int64_t features = x.size(1), components = principal_components(x, share);
  const int64_t by_rows = std::max<int64_t>(2, rows / rows_of_dimension),
                by_columns = std::max<int64_t>(1, features / 2);
  const int64_t limit = std::min({most, by_rows, by_columns});
  const int64_t latent = std::min(limit, std::max<int64_t>(2, components));
  const std::string found = fmt::format("{} principal component{} explain{} 90 % of the variance", components,
                                        components == 1 ? "" : "s", components == 1 ? "s" : "");
  choices.choose("model.latent", latent,
                 latent >= components ? found
                                      : fmt::format("{}; limited by {}", found,
                                                    limit == by_columns ? "half of the columns"
                                                    : limit == by_rows  ? "the number of rows"
                                                                        : "the usual sizes"));
  return latent;
}

void choose_gaussian_table(Choices& choices, bool standardize) {
  choices.choose("model.likelihood", "gaussian", "columns of real values");
  choices.choose("model.likelihood_variance", "learned", "the noise level is unknown, so it is learned");
  if (standardize)
    choices.choose("model.likelihood_scale", 1,
                   "the standard deviation of the columns, where learning starts");
}

}  // namespace

void choose_table(Choices& choices, Communicator& world, const Dataset& data, int64_t warmup_steps) {
  const RowSource& rows = data.split("train");
  const DataShape& shape = data.shape();
  const Batch some = sample_rows(rows, shape.features());
  const torch::Tensor sample = completed(some).to(torch::kFloat64);
  TableColumns table;
  if (shape.kind != "counts" && may_hold_whole_numbers(some.x)) table = look_at_columns(world, data);
  if (holds_counts(shape, sample, table)) return choose_counts(choices, shape.features(), warmup_steps);
  const KindCounts kinds = count_kinds(table);
  const bool mixed = kinds.not_gaussian() > 0 && !one_quantity(table);
  const bool binary = mixed && kinds.gaussian + kinds.count + kinds.category == 0;
  const std::string transform = choose_normalization(world, data, /*counts=*/false, /*binarized=*/false).kind;
  const bool standardize = !mixed && transform != "bytes";
  if (standardize) choices.choose("data.normalize", "standardize", "columns of a table have different units");
  choices.choose("model.name", "vae", "the standard variational autoencoder");
  const int64_t latent =
      choose_latent(choices, standardize || mixed ? standardized(sample) : sample, rows.rows());
  if (binary) {
    choices.choose("model.likelihood", "bernoulli", "all columns hold 0 and 1");
  } else if (mixed) {
    choices.choose(
        "model.likelihood", "mixed",
        fmt::format("columns of several kinds: {} real, {} of 0 and 1, {} of counts, {} categories",
                    kinds.gaussian, kinds.bernoulli, kinds.count, kinds.category));
    choices.choose("model.likelihood_columns", columns_text(table.blocks), "from left to right");
    choices.choose(
        "model.beta", 0.5,
        "log p(x|z) weighs twice as much as the KL term, as in TVAE (Xu et al. 2019): else z leaves out "
        "categories");
  } else {
    choose_gaussian_table(choices, standardize);
  }
  choices.choose("network.hidden",
                 rounded(static_cast<double>(std::max(shape.features() / 2, 6 * latent)), 8, 64, 512),
                 "half as wide as a row and at least six times the latent size, from 64 to 512");
}

}  // namespace elbo
