// What codes hold of the rows, and how similar reconstructions look.
#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "elbo/comm/on_root.h"
#include "elbo/commands/evaluate_measures.h"
#include "elbo/eval/information.h"
#include "elbo/eval/structural_similarity.h"

namespace elbo {
namespace {

using nlohmann::ordered_json;

class InformationInCodes final : public Measure {
 public:
  explicit InformationInCodes(const MeasuredRun& measured) : measured_(measured) {}

  std::string refusal() override {
    const SavedRun& run = measured_.used.run;
    if (const std::string why = run.model->why_codes_have_no_density(); !why.empty()) return why;
    if (run.model->conditional()) return "its codes depend on a condition besides the row";
    const Latent code = run.model->encode(run.rows(measured_.used.split, 0, 1));
    if (!code.logvar || !code.kl || code.standardized)
      return "its codes have no Gaussian posterior and prior N(0, I)";
    return "";
  }

  ordered_json result() override {
    constexpr double most_exponentials = 5e7;  // about a second
    const RunInUse& used = measured_.used;
    const int64_t latent = used.run.model->latent_size();
    const auto most = static_cast<int64_t>(std::sqrt(most_exponentials / static_cast<double>(latent)));
    const std::vector<int64_t> ids = spread_ids(used.rows().rows(), std::max<int64_t>(most, 1));
    const torch::Tensor posteriors =
        measured_.collect(std::ssize(ids), 2 * latent, [&](int worker, int64_t, int64_t first, int64_t end) {
          const Latent code =
              measured_.model(worker).encode(used.run.rows(used.split, part_of(ids, first, end)));
          return torch::cat({code.z, *code.logvar}, 1);
        });
    return on_root<ordered_json>(*used.world, [&]() -> ordered_json {
      const Key key = Key(measured_.how.seed).with("evaluate").with("information");
      const Information found =
          information(posteriors.narrow(1, 0, latent), posteriors.narrow(1, latent, latent), key);
      return {{"mutual_information", found.mutual_information},
              {"total_correlation", found.total_correlation},
              {"dimension_wise_kl", found.dimension_wise_kl},
              {"marginal_kl", found.marginal_kl},
              {"rows", std::ssize(ids)}};
    });
  }

 private:
  MeasuredRun measured_;
};

class Similarity final : public Measure {
 public:
  explicit Similarity(const MeasuredRun& measured) : measured_(measured) {}

  std::string refusal() override {
    const SavedRun& run = measured_.used.run;
    if (!run.checkpoint.data.is_unit_image() || run.checkpoint.data.is_volume())
      return "the rows are not images in [0, 1]";
    if (run.checkpoint.data.masked) return "values are missing";
    return run.model->likelihood() ? "" : "its reconstructions are not pixels";
  }

  ordered_json result() override {
    const RunInUse& used = measured_.used;
    const std::vector<int64_t> ids = all_ids(used.rows().rows());
    const torch::Tensor similar =
        measured_.collect(std::ssize(ids), 1, [&](int worker, int64_t, int64_t first, int64_t end) {
          Model& model = measured_.model(worker);
          const Batch batch = used.run.rows(used.split, first, end);
          return structural_similarity(batch.x.cpu(), model.decode_rows(model.encode(batch), batch).cpu())
              .to(torch::kFloat32)
              .unsqueeze(1);
        });
    return on_root<ordered_json>(*used.world, [&]() -> ordered_json {
      return {{"ssim", similar.to(torch::kFloat64).mean().item<double>()}, {"rows", std::ssize(ids)}};
    });
  }

 private:
  MeasuredRun measured_;
};

}  // namespace

std::unique_ptr<Measure> measure_of_information(const MeasureOptions& /*options*/,
                                                const MeasuredRun& measured) {
  return std::make_unique<InformationInCodes>(measured);
}

std::unique_ptr<Measure> measure_of_similarity(const MeasureOptions& /*options*/,
                                               const MeasuredRun& measured) {
  return std::make_unique<Similarity>(measured);
}

}  // namespace elbo
