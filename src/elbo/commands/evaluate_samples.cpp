// How near the distribution of samples is to that of images.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "elbo/base/error.h"
#include "elbo/comm/on_root.h"
#include "elbo/commands/evaluate_measures.h"
#include "elbo/eval/sample_quality.h"
#include "elbo/run/device.h"

namespace elbo {
namespace {

using nlohmann::ordered_json;

constexpr int64_t fewest_rows = 10;
constexpr int64_t most_pixels = 1024;  // the time of the Fréchet distance grows with the third power

// Images as vectors to compare: means of pixels, or codes of another run.
class Features {
 public:
  explicit Features(const DataShape& shape) : shape_(shape) {
    while (width() > most_pixels) ++side_;
  }
  // Collective. Throws a usage Error for a run on other rows.
  Features(const std::string& directory, const MeasuredRun& measured)
      : shape_(measured.used.run.checkpoint.data) {
    const RunInUse& used = measured.used;
    run_ = open_run(*used.world, directory, "newest", "", DataNeed::none, used.run.device);
    if (run_->checkpoint.data.x != shape_.x || run_->model->conditional())
      usage_error("--features={}: expected a run on images of {}, of a variant without a condition",
                  directory, fmt::join(shape_.x, "×"));
    replicas_ = run_->replicas(measured.workers.count());
  }

  std::string name() const {
    if (run_) return fmt::format("codes of {} {}", run_->config->model->name(), run_->checkpoint.fingerprint);
    return side_ == 1 ? "pixels" : fmt::format("means of {0}×{0} pixels", side_);
  }
  int64_t width() const {
    return run_ ? run_->model->latent_size() : shape_.x[0] * (shape_.x[1] / side_) * (shape_.x[2] / side_);
  }
  // x (n, …row) after the transform of `model` → (n, width()).
  torch::Tensor of(const torch::Tensor& x, const Model& model, int worker) const {
    if (!run_) return torch::avg_pool2d(x, {side_, side_}).flatten(1);
    Model& other = *replicas_[static_cast<size_t>(worker)];
    const torch::Tensor rows = other.transform().apply(model.transform().undo(x));
    return other.encode({rows, {}, torch::zeros({rows.size(0)}, torch::kInt64)}).z;
  }

 private:
  DataShape shape_;
  int64_t side_ = 1;  // of the squares of pixels whose mean is a feature
  std::optional<SavedRun> run_;
  std::vector<std::shared_ptr<Model>> replicas_;  // of the other run's model, one for each worker
};

class Samples final : public Measure {
 public:
  Samples(const MeasureOptions& options, const MeasuredRun& measured)
      : options_(options), measured_(measured) {}

  std::string refusal() override {
    const DataShape& shape = measured_.used.run.checkpoint.data;
    if (!shape.is_image()) return "the rows are not images";
    if (measured_.used.rows().rows() < fewest_rows)
      return fmt::format("there are fewer than {} rows", fewest_rows);
    features_ = options_.features == "pixels" ? std::make_unique<Features>(shape)
                                              : std::make_unique<Features>(options_.features, measured_);
    return features_->width() > 0 ? "" : "the images are too narrow to be divided into squares";
  }

  ordered_json result() override {
    const RunInUse& used = measured_.used;
    const int64_t count = std::min(used.rows().rows(), options_.samples), width = features_->width();
    const std::vector<int64_t> ids = spread_ids(used.rows().rows(), count);
    const torch::Tensor label = labels_for(used.run, "", count);
    const Key key = Key(measured_.how.seed).with("evaluate").with("samples");
    SamplerOptions sampling = options_.sampler;
    sampling.fitted_rows = options_.fitted_rows;
    const std::shared_ptr<const CodeSampler> sampler = open_sampler(sampling, used, measured_.workers);
    const torch::Tensor rows =
        measured_.collect(count, width, [&](int worker, int64_t, int64_t first, int64_t end) {
          const torch::Tensor x = used.rows().read(part_of(ids, first, end)).x.to(used.run.device);
          return features_->of(x, measured_.model(worker), worker);
        });
    const torch::Tensor samples =
        measured_.collect(count, width, [&](int worker, int64_t microbatch, int64_t first, int64_t end) {
          RandomGenerator noise(key.with(static_cast<uint64_t>(microbatch)), used.run.device);
          const torch::Tensor condition = label.defined() ? label.slice(0, first, end) : label;
          Model& model = measured_.model(worker);
          return features_->of(generate_rows(model, sampler.get(), end - first, condition, {}, noise), model,
                               worker);
        });
    return on_root<ordered_json>(*used.world, [&]() -> ordered_json {
      return {{"features", features_->name()},
              {"sampler", sampling.sampler},
              {"rows", count},
              {"frechet_distance", frechet_distance(samples, rows)},
              {"precision", share_in_manifold(samples, rows)},
              {"recall", share_in_manifold(rows, samples)}};
    });
  }

 private:
  MeasureOptions options_;
  MeasuredRun measured_;
  std::unique_ptr<Features> features_;
};

}  // namespace

std::unique_ptr<Measure> measure_of_samples(const MeasureOptions& options, const MeasuredRun& measured) {
  return std::make_unique<Samples>(options, measured);
}

}  // namespace elbo
