#include "elbo/run/row_weights.h"

#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/comm/on_root.h"
#include "elbo/data/data_files.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/run/row_pass.h"

namespace elbo {
namespace {

// All numbers of a dataset of the training split, (stored rows) float64, over all files.
torch::Tensor read_stored(const DataOptions& options) {
  const std::string path =
      options.weights.starts_with('/') ? options.weights : "/" + options.train + "/" + options.weights;
  std::vector<torch::Tensor> parts;
  for (const std::string& name : data_files(options.path)) {
    const DataFile file(name);
    const auto lock = hdf5::lock();
    const auto reject = [&](const std::string& what) {
      usage_error(
          "data.weights={}: {}: {} {}; expected one number for each training row, in a dataset of the group "
          "{} or "
          "at an absolute path, or data.weights=balanced",
          options.weights, name, path, what, options.train);
    };
    if (!hdf5::exists(file.handle(), path) || hdf5::is_group(file.handle(), path)) reject("is not a dataset");
    const hdf5::Handle dataset = hdf5::open_dataset(file.handle(), path);
    const hdf5::DatasetInfo info = hdf5::describe(dataset);
    if (!info.numeric()) reject("holds no numbers");
    if (info.shape.size() != 1) reject(fmt::format("has the shape ({})", fmt::join(info.shape, ", ")));
    parts.push_back(hdf5::read_tensor(dataset).to(torch::kFloat64));
  }
  return torch::cat(parts);
}

// Of the rows of the training split: some of the stored ones may be held out.
std::vector<double> of_rows(const torch::Tensor& stored, const DataOptions& options, const Dataset& data) {
  const RowSource& rows = data.split("train");
  std::vector<int64_t> places;
  places.reserve(static_cast<size_t>(rows.rows()));
  for (int64_t id = 0; id < rows.rows(); ++id) places.push_back(rows.identity(id).row);
  int64_t count = *std::ranges::max_element(places) + 1;
  if (data.has("validation"))
    if (const RowSource& others = data.split("validation");
        others.identity(0).split == rows.identity(0).split)
      for (int64_t id = 0; id < others.rows(); ++id) count = std::max(count, others.identity(id).row + 1);
  if (stored.size(0) != count)
    usage_error("data.weights={}: has {} numbers; expected one for each of the {} training rows of {}",
                options.weights, stored.size(0), count, options.path);
  const auto* values = stored.const_data_ptr<double>();
  std::vector<double> weights;
  weights.reserve(places.size());
  for (size_t id = 0; id < places.size(); ++id) {
    const double weight = values[places[id]];
    if (!(weight >= 0) || !std::isfinite(weight))
      usage_error("data.weights={}: the weight of training row {} is {}; expected numbers of at least 0",
                  options.weights, places[id], weight);
    weights.push_back(weight);
  }
  if (*std::ranges::max_element(weights) == 0)
    usage_error("data.weights={}: all training rows have the weight 0; expected some above 0",
                options.weights);
  return weights;
}

// 1 / (rows of the class), so that each class that occurs has the same weight.
std::vector<double> of_classes(Communicator& world, const Dataset& data) {
  const RowSource& rows = data.split("train");
  if (data.shape().classes == 0)
    usage_error(
        "data.weights=balanced: the training rows have no classes{}; set data.label, or name a dataset of "
        "weights",
        data.shape().label_problem.empty() ? "" : ": " + data.shape().label_problem);
  torch::Tensor classes = torch::zeros({rows.rows()}, torch::kInt64);
  const RowPass pass(world, rows, data.shape().features());
  for (int64_t part = pass.own().first; part < pass.own().end; ++part) {
    const Batch batch = pass.read(part);
    classes.index_copy_(0, batch.ids, batch.label);
  }
  world.all_reduce(classes, ReduceOp::sum);
  if (const torch::Tensor unknown = classes.lt(0).nonzero(); unknown.size(0) > 0)
    usage_error("data.weights=balanced: {} has no class, nor have {} others; name a dataset of weights",
                rows.place_of(unknown[0].item<int64_t>()), unknown.size(0) - 1);
  const torch::Tensor weights = classes.bincount().to(torch::kFloat64).reciprocal().index_select(0, classes);
  return {weights.const_data_ptr<double>(), weights.const_data_ptr<double>() + weights.size(0)};
}

}  // namespace

std::shared_ptr<const WeightedRows> open_row_weights(Communicator& world, const DataOptions& options,
                                                     const Dataset& data) {
  if (options.weights.empty()) return nullptr;
  if (options.weights == "balanced") return std::make_shared<WeightedRows>(of_classes(world, data));
  torch::Tensor weights = torch::zeros({data.split("train").rows()}, torch::kFloat64);
  const std::vector<double> read =
      on_root<std::vector<double>>(world, [&] { return of_rows(read_stored(options), options, data); });
  if (world.rank() == 0) std::ranges::copy(read, weights.mutable_data_ptr<double>());
  world.broadcast(weights, 0);
  return std::make_shared<WeightedRows>(std::vector<double>(
      weights.const_data_ptr<double>(), weights.const_data_ptr<double>() + weights.size(0)));
}

}  // namespace elbo
