// log p(x) of some rows by annealed importance sampling.
#include <torch/types.h>

#include <cmath>

#include "elbo/comm/on_root.h"
#include "elbo/commands/evaluate_measures.h"
#include "elbo/eval/annealing.h"
#include "elbo/eval/map_rows.h"

namespace elbo {
namespace {

using nlohmann::ordered_json;

class Annealing final : public Measure {
 public:
  Annealing(const MeasureOptions& options, const MeasuredRun& measured)
      : options_(options), measured_(measured) {}

  std::string refusal() override {
    const RunInUse& used = measured_.used;
    if (used.rows().rows() == 0) return "the split has no rows";
    const torch::NoGradGuard no_grad;
    const torch::Tensor z =
        torch::zeros({1, 1, used.run.model->latent_size()}, torch::TensorOptions().device(used.run.device));
    if (!used.run.model->log_joint(z, used.run.rows(used.split, 0, 1)))
      return used.run.config->model->name() + " has no density p(x, z) of a code z";
    return "";
  }

  ordered_json result() override {
    constexpr int64_t rows_at_once = 8;  // with their chains they fill a core
    const RunInUse& used = measured_.used;
    const std::vector<int64_t> ids = spread_ids(used.rows().rows(), options_.ais_rows);
    const AnnealingOptions how{.chains = options_.ais_chains, .temperatures = options_.ais_temperatures};
    const Key key = Key(measured_.how.seed).with("evaluate").with("ais");
    std::vector<torch::Tensor> estimates, acceptance;
    map_rows(
        *used.world, measured_.workers, std::ssize(ids), rows_at_once,
        {{"log_likelihood", {}}, {"acceptance", {}}},
        [&](int worker, int64_t microbatch, int64_t first, int64_t end) {
          RandomGenerator noise(key.with(static_cast<uint64_t>(microbatch)), used.run.device);
          const AnnealedEstimate found = anneal(
              measured_.model(worker), used.run.rows(used.split, part_of(ids, first, end)), how, noise);
          return std::vector{found.log_likelihood.to(torch::kCPU, torch::kFloat32),
                             found.acceptance.to(torch::kCPU, torch::kFloat32)};
        },
        [&](int64_t, const std::vector<torch::Tensor>& outputs) {
          estimates.push_back(outputs[0].to(torch::kFloat64));
          acceptance.push_back(outputs[1].to(torch::kFloat64));
        });
    return on_root<ordered_json>(*used.world, [&]() -> ordered_json {
      const torch::Tensor log_likelihood = torch::cat(estimates);
      const auto rows = log_likelihood.size(0);
      ordered_json result{{"nll", -log_likelihood.mean().item<double>()}};
      if (rows > 1)
        result["standard_error"] = log_likelihood.std().item<double>() / std::sqrt(static_cast<double>(rows));
      result.update({{"rows", rows},
                     {"chains", how.chains},
                     {"temperatures", how.temperatures},
                     {"acceptance", torch::cat(acceptance).mean().item<double>()}});
      return result;
    });
  }

 private:
  MeasureOptions options_;
  MeasuredRun measured_;
};

}  // namespace

std::unique_ptr<Measure> measure_of_annealing(const MeasureOptions& options, const MeasuredRun& measured) {
  return std::make_unique<Annealing>(options, measured);
}

}  // namespace elbo
