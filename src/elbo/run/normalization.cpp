#include "elbo/run/normalization.h"

#include <fmt/format.h>
#include <torch/types.h>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/nn/likelihood.h"
#include "elbo/run/broadcast_checkpoint.h"
#include "elbo/run/fit_transform.h"
#include "elbo/run/observed_columns.h"
#include "elbo/run/row_pass.h"
#include "elbo/run/table_columns.h"

namespace elbo {
namespace {

Normalization choose_for_bytes(Communicator& world, const RowSource& rows, const DataShape& shape,
                               double seen) {
  const bool pictures = shape.has_pixels();
  const double enough = pictures ? 1 : 254;
  const double largest = seen > enough ? seen : largest_value(world, rows, shape.features(), enough);
  if (largest <= 1)
    return {.kind = "none",
            .in_unit_interval = pictures,
            .why = fmt::format("bytes of 0 and {:g}, which stay as they are", largest)};
  if (pictures || largest >= 255)
    return {.kind = "bytes",
            .in_unit_interval = true,
            .why = pictures ? "" : "bytes up to 255 are divided by 255"};
  return {.kind = ""};
}

Normalization choose_for_numbers(const Batch& batch, const DataShape& shape) {
  const auto columns_of = [&](const torch::Tensor& x) {
    return by_column(x, fitted_shape("standardize", shape.x, shape.spatial()))
        .to(torch::kFloat64)
        .transpose(0, 1)
        .flatten(1);
  };
  const torch::Tensor values = columns_of(batch.x);
  const torch::Tensor weights =
      batch.observed.defined() ? columns_of(batch.observed) : torch::ones_like(values);
  const torch::Tensor count = weights.sum(1).clamp_min(1), mean = (values * weights).sum(1) / count;
  const torch::Tensor squares = ((values - mean.unsqueeze(1)).square() * weights).sum(1);
  const torch::Tensor far = mean.abs().maximum((squares / count).sqrt());
  constexpr double usual = 10;
  const torch::Tensor observed = observed_or_zero(batch);
  const double lowest = observed.min().item<double>(), highest = observed.max().item<double>();
  if (far.max().item<double>() > usual)
    return {.kind = "standardize", .why = fmt::format("values from {:.3g} to {:.3g}", lowest, highest)};
  const bool has_missing = batch.observed.defined() && !batch.observed.all().item<bool>();
  if (has_missing && (lowest < 0 || highest > 1))
    return {.kind = "standardize", .why = "missing values are read as the mean of their column"};
  return {.kind = "none"};
}

}  // namespace

Normalization choose_normalization(Communicator& world, const Dataset& data, bool counts, bool binarized) {
  const DataShape& shape = data.shape();
  const RowSource& rows = data.split("train");
  if (counts || shape.tokens > 0 || shape.kind == "interactions") return {.kind = "none"};
  const Batch sample = sample_rows(rows, shape.features());
  const torch::Tensor values = observed_or_zero(sample);
  const double lowest = values.min().item<double>(), highest = values.max().item<double>();
  if (shape.bytes_x)
    if (Normalization found = choose_for_bytes(world, rows, shape, highest); !found.kind.empty())
      return found;
  if (shape.is_image() || shape.is_volume() || binarized) {
    if (lowest >= 0 && highest <= 1) return {.kind = "none", .in_unit_interval = true};
    return {.kind = "unit",
            .in_unit_interval = binarized,
            .why = fmt::format("values from {:.3g} to {:.3g}", lowest, highest)};
  }
  return choose_for_numbers(sample, shape);
}

namespace {

// Runs of before there was data.normalize: bytes were divided by 255.
Normalization of_an_old_run(const DataShape& shape) {
  const bool bytes = shape.bytes_x && shape.tokens == 0;
  return {.kind = bytes ? "bytes" : "none", .in_unit_interval = bytes || shape.is_image()};
}

// Whether values of this kind are in [0, 1], where the user has named the kind.
bool gives_unit_interval(const Dataset& data, const std::string& kind) {
  if (kind == "bytes" || kind == "unit") return true;
  if (kind != "none" || !(data.shape().is_image() || data.shape().is_volume())) return false;
  const torch::Tensor values = observed_or_zero(sample_rows(data.split("train"), data.shape().features()));
  return values.min().item<double>() >= 0 && values.max().item<double>() <= 1;
}

// Of the columns of a mixed likelihood, those with a mean and a deviation are transformed.
Normalization decide_for_columns(const std::string& kind, const std::vector<ColumnBlock>& columns) {
  if (kind == "auto") return {.kind = has_kind(columns, ColumnKind::gaussian) ? "standardize" : "none"};
  if (kind != "none" && kind != "standardize" && kind != "robust")
    usage_error(
        "data.normalize={}: transforms all columns alike, and model.likelihood=mixed has columns of several "
        "kinds; use auto, standardize, robust or none",
        kind);
  return {.kind = kind};
}

Normalization decide(Communicator& world, RunConfig& config, const Dataset& data) {
  const bool binarized = config.data.binarize != "none";
  if (const std::vector<ColumnBlock> columns = mixed_columns(config); !columns.empty())
    return decide_for_columns(config.data.normalize, columns);
  if (config.data.normalize != "auto")
    return {.kind = config.data.normalize,
            .in_unit_interval = binarized || gives_unit_interval(data, config.data.normalize)};
  return choose_normalization(world, data, has_counts(config.data.values.support), binarized);
}

// Only gaussian columns are transformed.
void keep_other_columns(Transform& transform, const std::vector<ColumnBlock>& columns) {
  if (!transform.shift.defined()) return;
  int64_t first = 0;
  for (const ColumnBlock& block : columns) {
    if (block.kind != ColumnKind::gaussian) {
      transform.shift.narrow(0, first, block.columns).zero_();
      transform.scale.narrow(0, first, block.columns).fill_(1);
    }
    first += block.columns;
  }
}

// What each column must be for the mixed likelihood.
ValueRule rule_of_columns(const std::vector<ColumnBlock>& columns) {
  ValueRule rule{.support = Support::real,
                 .remedy = "model.likelihood_columns says what the column holds; correct one of the two"};
  const std::vector<ColumnKind> kinds = kinds_by_column(columns);
  rule.columns.reserve(kinds.size());
  for (const ColumnKind kind : kinds) rule.columns.push_back(support_of(kind));
  return rule;
}

}  // namespace

Transform fit_normalization(Communicator& world, RunConfig& config, Dataset& data, const Checkpoint* start) {
  if (start != nullptr) {
    const std::string saved = saved_config(start->config, config.directory())->data.normalize;
    if (config.data.normalize == "auto") config.data.normalize = saved;
    data.set_in_unit_interval(saved_in_unit_interval(config, *start));
    return saved_transform(config, data.shape());
  }
  const Normalization decided = decide(world, config, data);
  if (world.rank() == 0 && !decided.why.empty())
    log::info("data.normalize={}: {}", decided.kind, decided.why);
  // The root's, as ranks on unlike machines may differ in the last digit of a mean.
  const std::string text = fmt::format("{} {}", decided.kind, decided.in_unit_interval ? 1 : 0);
  const std::vector<std::string> words = split(broadcast_text(world, text, 0), ' ');
  config.data.normalize = words[0];
  data.set_in_unit_interval(words[1] == "1");
  if (data.shape().masked) require_observed_columns(world, data);
  Transform transform = fit_transform(world, data.split("train"), data.shape(), config.data.normalize);
  if (const std::vector<ColumnBlock> columns = mixed_columns(config); !columns.empty())
    keep_other_columns(transform, columns);
  return transform;
}

bool saved_in_unit_interval(const RunConfig& config, const Checkpoint& checkpoint) {
  return config.data.normalize == "auto" ? of_an_old_run(checkpoint.data).in_unit_interval
                                         : checkpoint.data.in_unit_interval;
}

Transform saved_transform(const RunConfig& config, const DataShape& data) {
  Transform transform{.kind = config.data.normalize};
  if (transform.kind == "auto") transform.kind = of_an_old_run(data).kind;
  if (const std::vector<int64_t> shape = fitted_shape(transform.kind, data.x, data.spatial());
      !shape.empty()) {
    transform.shift = torch::zeros(shape);
    transform.scale = torch::ones(shape);
  }
  return transform;
}

void transform_rows(Dataset& data, const Model& model, RunConfig& config) {
  Transform transform = model.transform();
  if (transform.shift.defined()) {
    transform.shift = transform.shift.cpu();
    transform.scale = transform.scale.cpu();
  }
  ValueRule rule = config.data.values;
  const std::vector<ColumnBlock> columns = mixed_columns(config);
  if (!columns.empty()) rule = rule_of_columns(columns);
  if (config.data.binarize != "none")
    rule = {
        Support::unit_interval,
        fmt::format("data.binarize={} takes values as probabilities; use data.normalize=unit, or no binarize",
                    config.data.binarize)};
  else if (data.shape().is_unit_image() && rule.support == Support::real)
    rule = {Support::unit_interval, "the other rows are images in [0, 1]; use data.normalize=unit"};
  data.set_transform(transform, rule);
}

}  // namespace elbo
