// How much of the classes and of the factors of variation is in the codes.
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <utility>

#include "elbo/comm/on_root.h"
#include "elbo/commands/evaluate_measures.h"
#include "elbo/data/data_files.h"
#include "elbo/eval/disentanglement.h"
#include "elbo/eval/probes.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

using nlohmann::ordered_json;

constexpr int64_t widest_code = 4096;  // memory and time grow with it

std::string refuse_wide_codes(const Model& model) {
  return model.latent_size() <= widest_code
             ? ""
             : fmt::format("codes have {} dimensions; expected at most {}", model.latent_size(), widest_code);
}

double share_of_equal(const torch::Tensor& found, const torch::Tensor& truth) {
  return static_cast<double>(found.eq(truth).sum().item<int64_t>()) / static_cast<double>(truth.size(0));
}

class Classes final : public Measure {
 public:
  Classes(const MeasureOptions& options, const MeasuredRun& measured)
      : most_fitted_(options.fitted_rows), measured_(measured) {}

  std::string refusal() override {
    const RunInUse& used = measured_.used;
    if (!used.run.dataset->has("train")) return "the data set has no training rows";
    if (used.split == "train" || used.split == "all")
      return fmt::format("--split={}: classifiers are fitted to training rows", used.split);
    if (used.run.dataset->shape().classes < 2) return "the training rows are not of two or more classes";
    truth_ = classes_of(used.rows(), all_ids(used.rows().rows()));
    if (!truth_.defined()) return "the rows have no classes";
    return refuse_wide_codes(*used.run.model);
  }

  ordered_json result() override {
    constexpr int64_t neighbours = 5;
    const RunInUse& used = measured_.used;
    const RowSource& training = used.run.dataset->split("train");
    const std::vector<int64_t> fitted = spread_ids(training.rows(), most_fitted_);
    const torch::Tensor codes = measured_.codes("train", fitted);
    const torch::Tensor asked = measured_.codes(used.split, all_ids(used.rows().rows()));
    return on_root<ordered_json>(*used.world, [&]() -> ordered_json {
      const torch::Tensor labels = classes_of(training, fitted), known = labels.ge(0).nonzero().squeeze(1);
      const torch::Tensor x = codes.index_select(0, known), y = labels.index_select(0, known);
      const auto count = std::max(y.max().item<int64_t>(), truth_.max().item<int64_t>()) + 1;
      const torch::Tensor usual = torch::full_like(truth_, y.bincount().argmax().item<int64_t>());
      return {
          {"linear_probe", share_of_equal(linear_probe(x, y, count, asked), truth_)},
          {"nearest_neighbours", share_of_equal(nearest_neighbours(x, y, count, asked, neighbours), truth_)},
          {"most_frequent_class", share_of_equal(usual, truth_)},
          {"neighbours", neighbours},
          {"fitted_rows", y.size(0)}};
    });
  }

 private:
  int64_t most_fitted_;
  MeasuredRun measured_;
  torch::Tensor truth_;  // classes of all rows
};

// /SPLIT/factors (rows, factors) of the file, for all rows of the source; undefined if there are none.
torch::Tensor factors_of(const std::string& path, const RowSource& rows) {
  const std::vector<std::string> files = data_files(path);
  const std::string split = rows.identity(0).split;
  if (files.size() != 1) return {};
  const DataFile file(files.front());
  const auto lock = hdf5::lock();
  const std::string name = "/" + split + "/factors";
  if (!hdf5::exists(file.handle(), name)) return {};
  const torch::Tensor factors =
      hdf5::read_tensor(hdf5::open_dataset(file.handle(), name)).to(torch::kFloat64);
  std::vector<int64_t> places;
  places.reserve(static_cast<size_t>(rows.rows()));
  for (int64_t id = 0; id < rows.rows(); ++id) {
    const RowIdentity identity = rows.identity(id);
    if (identity.split != split || identity.row >= factors.size(0)) return {};
    places.push_back(identity.row);
  }
  return factors.dim() == 2 ? factors.index_select(0, torch::tensor(places)) : torch::Tensor();
}

// Two halves of the rows, chosen by the key: rows may be sorted by their factors.
std::pair<CodesAndFactors, CodesAndFactors> halves(const torch::Tensor& codes, const torch::Tensor& factors,
                                                   Key key) {
  const int64_t rows = codes.size(0), first = (rows + 1) / 2;
  const Permutation order(static_cast<uint64_t>(rows), key);
  torch::Tensor ids = torch::empty({rows}, torch::kInt64);
  for (int64_t i = 0; i < rows; ++i)
    ids.mutable_data_ptr<int64_t>()[i] = static_cast<int64_t>(order(static_cast<uint64_t>(i)));
  const auto rows_of = [&](const torch::Tensor& some) {
    return CodesAndFactors{codes.index_select(0, some), factors.index_select(0, some)};
  };
  return {rows_of(ids.slice(0, 0, first)), rows_of(ids.slice(0, first))};
}

class Factors final : public Measure {
 public:
  explicit Factors(const MeasuredRun& measured) : measured_(measured) {}

  std::string refusal() override {
    const RunInUse& used = measured_.used;
    factors_ = on_root<torch::Tensor>(*used.world,
                                      [&] { return factors_of(used.run.config->data.path, used.rows()); });
    torch::Tensor found = torch::full({1}, factors_.defined() ? 1 : 0, torch::kInt32);
    used.world->broadcast(found, 0);
    if (found.item<int>() == 0)
      return "the rows have no known factors; expected /SPLIT/factors (rows, factors) in a single file";
    return refuse_wide_codes(*used.run.model);
  }

  ordered_json result() override {
    const RunInUse& used = measured_.used;
    const torch::Tensor codes = measured_.codes(used.split, all_ids(used.rows().rows()));
    return on_root<ordered_json>(*used.world, [&]() -> ordered_json {
      const Key key = Key(measured_.how.seed).with("evaluate").with("factors");
      const auto [fitted, test] = halves(codes, factors_, key.with("halves"));
      const Dci found = dci(fitted, test);
      return {{"mig", mutual_information_gap(codes, factors_)},
              {"sap", attribute_predictability(codes, factors_)},
              {"dci_disentanglement", found.disentanglement},
              {"dci_completeness", found.completeness},
              {"dci_informativeness", found.informativeness},
              {"factor_vae_score", factor_vae_score(codes, factors_, key.with("votes"))}};
    });
  }

 private:
  MeasuredRun measured_;
  torch::Tensor factors_;  // (rows, factors), on rank 0
};

}  // namespace

std::unique_ptr<Measure> measure_of_classes(const MeasureOptions& options, const MeasuredRun& measured) {
  return std::make_unique<Classes>(options, measured);
}

std::unique_ptr<Measure> measure_of_factors(const MeasureOptions& /*options*/, const MeasuredRun& measured) {
  return std::make_unique<Factors>(measured);
}

}  // namespace elbo
