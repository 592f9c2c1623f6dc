#include "elbo/run/normalization.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>

#include "elbo/base/error.h"
#include "elbo/base/index_range.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/nn/likelihood.h"
#include "elbo/nn/recurrent.h"
#include "elbo/parallel/sum_over_ranks.h"
#include "elbo/parallel/tree_sum.h"
#include "elbo/run/broadcast_checkpoint.h"
#include "elbo/run/observed_columns.h"

namespace elbo {
namespace {

// Numbers that are read at once: a part of a pass over the rows, and the unit of its sums.
constexpr int64_t numbers_at_once = 1 << 20;

int64_t rows_at_once(int64_t rows, int64_t features) {
  return std::clamp<int64_t>(numbers_at_once / features, 1, std::min<int64_t>(rows, 4096));
}

Batch read(const RowSource& rows, int64_t first, int64_t end) {
  std::vector<int64_t> ids(static_cast<size_t>(end - first));
  std::iota(ids.begin(), ids.end(), first);
  return rows.read(ids);
}

// The largest value of all rows, or the first that is above `enough`.
double largest_value(const RowSource& rows, int64_t features, double enough) {
  const int64_t step = rows_at_once(rows.rows(), features);
  double largest = 0;
  for (int64_t first = 0; first < rows.rows() && largest <= enough; first += step)
    largest =
        std::max(largest, read(rows, first, std::min(first + step, rows.rows())).x.max().item<double>());
  return largest;
}

// (n, …row) → (n', columns, …): the dimension of fitted_shape() in the middle.
torch::Tensor by_column(const torch::Tensor& x, const std::vector<int64_t>& fitted) {
  const int64_t columns = fitted.front();
  int64_t inner = 1;  // pixels of a channel; all values where they share one
  for (int64_t dimension = 1; dimension < std::ssize(fitted); ++dimension) inner *= x.size(-dimension);
  if (fitted.size() == 1 && columns == 1) inner = x.numel() / x.size(0);
  return x.reshape({-1, columns, inner});
}

Normalization choose_for_bytes(const RowSource& rows, const DataShape& shape, double seen) {
  const bool pictures = shape.has_pixels();
  const double enough = pictures ? 1 : 254;
  const double largest = seen > enough ? seen : largest_value(rows, shape.features(), enough);
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

// Rows spread over all of them.
Batch sample_rows(const RowSource& rows, int64_t features) {
  constexpr int64_t most_rows = 1024, most_numbers = 4 << 20;
  const int64_t taken = std::min({rows.rows(), most_rows, std::max<int64_t>(1, most_numbers / features)});
  std::vector<int64_t> ids;
  ids.reserve(static_cast<size_t>(taken));
  for (int64_t i = 0; i < taken; ++i) ids.push_back(i * rows.rows() / taken);
  return rows.read(ids);
}

// x, or the observed values of it, (n); n may be 0.
torch::Tensor observed_values(const Batch& batch) {
  return batch.observed.defined() ? batch.x.masked_select(batch.observed) : batch.x;
}

// The same, or a 0 where there are none.
torch::Tensor some_values(const Batch& batch) {
  const torch::Tensor observed = observed_values(batch);
  return observed.numel() > 0 ? observed : torch::zeros({1});
}

Normalization choose_for_numbers(const Batch& batch, const DataShape& shape) {
  const auto columns_of = [&](const torch::Tensor& x) {
    return by_column(x, fitted_shape("standardize", shape.x, shape.spatial())).to(torch::kFloat64).transpose(0, 1).flatten(1);
  };
  const torch::Tensor values = columns_of(batch.x);
  const torch::Tensor weights =
      batch.observed.defined() ? columns_of(batch.observed) : torch::ones_like(values);
  const torch::Tensor count = weights.sum(1).clamp_min(1), mean = (values * weights).sum(1) / count;
  const torch::Tensor squares = ((values - mean.unsqueeze(1)).square() * weights).sum(1);
  const torch::Tensor far = mean.abs().maximum((squares / count).sqrt());
  constexpr double usual = 10;
  const torch::Tensor observed = some_values(batch);
  const double lowest = observed.min().item<double>(), highest = observed.max().item<double>();
  if (far.max().item<double>() > usual)
    return {.kind = "standardize", .why = fmt::format("values from {:.3g} to {:.3g}", lowest, highest)};
  const bool has_missing = batch.observed.defined() && !batch.observed.all().item<bool>();
  if (has_missing && (lowest < 0 || highest > 1))
    return {.kind = "standardize", .why = "missing values are read as the mean of their column"};
  return {.kind = "none"};
}

}  // namespace

torch::Tensor sample_values(const RowSource& rows, int64_t features) {
  return some_values(sample_rows(rows, features));
}

Normalization choose_normalization(const Dataset& data, bool counts, bool binarized) {
  const DataShape& shape = data.shape();
  const RowSource& rows = data.split("train");
  if (counts || shape.tokens > 0 || shape.kind == "interactions") return {.kind = "none"};
  const Batch sample = sample_rows(rows, shape.features());
  const torch::Tensor values = some_values(sample);
  const double lowest = values.min().item<double>(), highest = values.max().item<double>();
  if (shape.bytes_x)
    if (Normalization found = choose_for_bytes(rows, shape, highest); !found.kind.empty()) return found;
  if (shape.is_image() || shape.is_volume() || binarized) {
    if (lowest >= 0 && highest <= 1) return {.kind = "none", .in_unit_interval = true};
    return {.kind = "unit",
            .in_unit_interval = binarized,
            .why = fmt::format("values from {:.3g} to {:.3g}", lowest, highest)};
  }
  return choose_for_numbers(sample, shape);
}

namespace {

class Fit {
 public:
  Fit(Communicator& world, const RowSource& rows, const DataShape& shape, std::vector<int64_t> fitted)
      : world_(world),
        rows_(rows),
        fitted_(std::move(fitted)),
        step_(rows_at_once(rows.rows(), shape.features())),
        parts_((rows.rows() + step_ - 1) / step_),
        own_(partition({0, parts_}, world.rank(), world.size())) {}

  Transform unit() const {
    double lowest = std::numeric_limits<double>::infinity(), highest = -lowest;
    for (int64_t part = own_.first; part < own_.end; ++part) {
      const torch::Tensor x = observed_values(read_part(part));
      if (x.numel() == 0) continue;
      lowest = std::min(lowest, x.min().item<double>());
      highest = std::max(highest, x.max().item<double>());
    }
    torch::Tensor limits = torch::tensor({-lowest, highest}, torch::kFloat64);
    world_.all_reduce(limits, ReduceOp::max);
    lowest = -limits[0].item<double>();
    return of("unit", torch::full({1}, lowest), torch::full({1}, limits[1].item<double>() - lowest));
  }

  Transform standardize() const {
    const auto [mean, deviation] = moments();
    return of("standardize", mean, deviation);
  }

  // The median, and the distance of the quartiles in units of that of a normal distribution; where half of
  // the values are equal, the standard deviation.
  Transform robust() const {
    const torch::Tensor quartiles = values_at({0.25, 0.5, 0.75});
    constexpr double of_a_normal_distribution = 1.3489795;
    const torch::Tensor spread = (quartiles[2] - quartiles[0]) / of_a_normal_distribution;
    return of("robust", quartiles[1], torch::where(spread.gt(0), spread, moments().second));
  }

 private:
  Batch read_part(int64_t part) const {
    return read(rows_, part * step_, std::min((part + 1) * step_, rows_.rows()));
  }

  // A constant column is only shifted.
  Transform of(const std::string& kind, const torch::Tensor& shift, const torch::Tensor& scale) const {
    return {.kind = kind,
            .shift = shift.to(torch::kFloat32).view(fitted_).contiguous(),
            .scale = torch::where(scale.gt(0), scale, torch::ones_like(scale))
                         .to(torch::kFloat32)
                         .view(fitted_)
                         .contiguous()};
  }

  // The values of a part by column, and a mask of those that are neither padding nor missing, both (n,
  // columns, inner), float64.
  std::pair<torch::Tensor, torch::Tensor> columns_of(int64_t part) const {
    const Batch batch = read_part(part);
    torch::Tensor mask = torch::ones_like(batch.x);
    if (batch.length.defined()) {
      std::vector<int64_t> sizes(static_cast<size_t>(batch.x.dim()), 1);
      sizes[0] = batch.size();
      sizes[1] = batch.x.size(1);
      mask = step_mask(batch.length, sizes[0], sizes[1], torch::kCPU).view(sizes).expand_as(batch.x);
    }
    if (batch.observed.defined()) mask = mask * batch.observed;
    return {by_column(batch.x, fitted_).to(torch::kFloat64), by_column(mask, fitted_).to(torch::kFloat64)};
  }

  // The sum over all parts of function(values, mask), (k·columns) float64, in the order of one tree.
  template <typename Function>
  torch::Tensor sum(int64_t k, const Function& function) const {
    const int64_t numbers = k * fitted_.front();
    TreeAccumulator accumulator(parts_, numbers, torch::kFloat64);
    for (int64_t part = own_.first; part < own_.end; ++part) {
      const auto [values, mask] = columns_of(part);
      accumulator.add(part, function(values, mask));
    }
    return sum_over_ranks(world_, accumulator.parts(), parts_, {numbers}, torch::kFloat64)
        .view({k, fitted_.front()});
  }

  // Mean and standard deviation of each column.
  std::pair<torch::Tensor, torch::Tensor> moments() const {
    const std::array<int64_t, 2> all{0, 2};
    const torch::Tensor first = sum(2, [&](const torch::Tensor& values, const torch::Tensor& mask) {
      return torch::cat({mask.sum(all), (values * mask).sum(all)});
    });
    const torch::Tensor count = first[0].clamp_min(1), mean = first[1] / count;
    const torch::Tensor squares = sum(1, [&](const torch::Tensor& values, const torch::Tensor& mask) {
      return ((values - mean.unsqueeze(1)).square() * mask).sum(all);
    });
    return {mean, (squares[0] / count).sqrt()};
  }

  // (quantiles, columns): the value at position ⌊q (n - 1)⌋ of each sorted column. A radix search: in each of
  // four passes all values are counted by the next byte of their order-preserving bit pattern.
  torch::Tensor values_at(const std::vector<double>& quantiles) const;

  Communicator& world_;
  const RowSource& rows_;
  std::vector<int64_t> fitted_;
  int64_t step_, parts_;  // rows of a part, and their number
  IndexRange own_;
};

// Ascending with the value: negative numbers have their bits inverted, others their sign.
uint32_t ordered_bits(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  constexpr uint32_t sign = 0x80000000U;
  return (bits & sign) != 0 ? ~bits : bits | sign;
}
float from_ordered_bits(uint32_t bits) {
  constexpr uint32_t sign = 0x80000000U;
  return std::bit_cast<float>((bits & sign) != 0 ? bits & ~sign : ~bits);
}

torch::Tensor Fit::values_at(const std::vector<double>& quantiles) const {
  const auto wanted = static_cast<int64_t>(quantiles.size());
  const int64_t columns = fitted_.front();
  constexpr int64_t bins = 256, most_columns = 1 << 16;
  if (columns > most_columns)
    usage_error("data.normalize=robust: rows have {} columns; expected at most {}; use standardize", columns,
                most_columns);
  std::vector<uint32_t> prefix(static_cast<size_t>(wanted * columns), 0);
  std::vector<int64_t> position;
  for (int shift = 24; shift >= 0; shift -= 8) {
    torch::Tensor counts = torch::zeros({wanted, columns, bins}, torch::kInt64);
    auto* count = counts.mutable_data_ptr<int64_t>();
    for (int64_t part = own_.first; part < own_.end; ++part) {
      const auto [values, mask] = columns_of(part);
      const torch::Tensor x = values.to(torch::kFloat32).transpose(0, 1).flatten(1).contiguous();
      const torch::Tensor counted = mask.transpose(0, 1).flatten(1).contiguous();
      for (int64_t column = 0; column < columns; ++column)
        for (int64_t i = 0; i < x.size(1); ++i) {
          if (counted.const_data_ptr<double>()[column * x.size(1) + i] == 0) continue;
          const uint32_t bits = ordered_bits(x.const_data_ptr<float>()[column * x.size(1) + i]);
          for (int64_t q = 0; q < wanted; ++q)
            if (shift == 24 || bits >> (shift + 8) == prefix[static_cast<size_t>(q * columns + column)])
              ++count[(q * columns + column) * bins + (bits >> shift & 0xffU)];
        }
    }
    world_.all_reduce(counts, ReduceOp::sum);
    for (int64_t i = 0; i < wanted * columns; ++i) {
      if (shift == 24) {
        const int64_t n = std::accumulate(count + i * bins, count + (i + 1) * bins, int64_t{0});
        position.push_back(static_cast<int64_t>(quantiles[static_cast<size_t>(i / columns)] *
                                                static_cast<double>(std::max<int64_t>(n - 1, 0))));
      }
      int64_t bin = 0;
      int64_t& left = position[static_cast<size_t>(i)];
      while (bin < bins - 1 && left >= count[i * bins + bin]) left -= count[i * bins + bin++];
      prefix[static_cast<size_t>(i)] = prefix[static_cast<size_t>(i)] << 8 | static_cast<uint32_t>(bin);
    }
  }
  torch::Tensor found = torch::empty({wanted, columns}, torch::kFloat64);
  for (int64_t i = 0; i < wanted * columns; ++i)
    found.mutable_data_ptr<double>()[i] = from_ordered_bits(prefix[static_cast<size_t>(i)]);
  return found;
}

// Runs of before there was data.normalize: bytes were divided by 255.
Normalization of_an_old_run(const DataShape& shape) {
  const bool bytes = shape.bytes_x && shape.tokens == 0;
  return {.kind = bytes ? "bytes" : "none", .in_unit_interval = bytes || shape.is_image()};
}

// Whether values of this kind are in [0, 1], where the user has named the kind.
bool gives_unit_interval(const Dataset& data, const std::string& kind) {
  if (kind == "bytes" || kind == "unit") return true;
  if (kind != "none" || !(data.shape().is_image() || data.shape().is_volume())) return false;
  const torch::Tensor values = sample_values(data.split("train"), data.shape().features());
  return values.min().item<double>() >= 0 && values.max().item<double>() <= 1;
}

Normalization decide(RunConfig& config, const Dataset& data) {
  const bool binarized = config.data.binarize != "none";
  if (config.data.normalize != "auto")
    return {.kind = config.data.normalize,
            .in_unit_interval = binarized || gives_unit_interval(data, config.data.normalize)};
  return choose_normalization(data, has_counts(config.data.values.support), binarized);
}

}  // namespace

Transform fit_transform(Communicator& world, const RowSource& rows, const DataShape& shape,
                        const std::string& kind) {
  const std::vector<int64_t> fitted = fitted_shape(kind, shape.x, shape.spatial());
  if (fitted.empty()) return {.kind = kind};
  const Fit fit(world, rows, shape, fitted);
  if (kind == "unit") return fit.unit();
  if (kind == "standardize") return fit.standardize();
  return fit.robust();
}

Transform fit_normalization(Communicator& world, RunConfig& config, Dataset& data, const Checkpoint* start) {
  if (start != nullptr) {
    const std::string saved = saved_config(start->config, config.directory())->data.normalize;
    if (config.data.normalize == "auto") config.data.normalize = saved;
    data.set_in_unit_interval(saved_in_unit_interval(config, *start));
    return saved_transform(config, data.shape());
  }
  std::string text;
  if (world.rank() == 0) {
    const Normalization decided = decide(config, data);
    if (!decided.why.empty()) log::info("data.normalize={}: {}", decided.kind, decided.why);
    text = fmt::format("{} {}", decided.kind, decided.in_unit_interval ? 1 : 0);
  }
  const std::vector<std::string> words = split(broadcast_text(world, text, 0), ' ');
  config.data.normalize = words[0];
  data.set_in_unit_interval(words[1] == "1");
  if (data.shape().masked) require_observed_columns(world, data);
  return fit_transform(world, data.split("train"), data.shape(), config.data.normalize);
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

void transform_rows(Dataset& data, const Model& model, const RunConfig& config) {
  Transform transform = model.transform();
  if (transform.shift.defined()) {
    transform.shift = transform.shift.cpu();
    transform.scale = transform.scale.cpu();
  }
  ValueRule rule = config.data.values;
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
