#include "elbo/commands/sampler_network.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/commands/training_codes.h"
#include "elbo/train/train_on_rows.h"

namespace elbo {
namespace {

// Labels (n) int64 or (n, k) float32 of all codes, on every rank; undefined for a model without a condition.
torch::Tensor all_labels(const RunInUse& used, const TrainingCodes& codes) {
  const DataShape& data = used.run.checkpoint.data;
  if (!used.run.model->conditional()) return {};
  const int64_t width = data.classes > 0 ? 1 : data.label_features;
  SharedPoints labels{.parts = codes.points.parts, .own = {}};
  labels.own.reserve(codes.labels.size());
  for (const torch::Tensor& label : codes.labels)
    labels.own.push_back(label.to(torch::kFloat64).reshape({label.size(0), width}));
  const torch::Tensor all = all_points(*used.world, labels, width);
  return data.classes > 0 ? all.squeeze(1).to(torch::kInt64) : all.to(torch::kFloat32);
}

class NetworkSampler final : public FittedSampler {
 public:
  NetworkSampler(std::string name, MakeCodeModel make, DataShape data, int64_t steps, int64_t fitted_rows,
                 uint64_t seed)
      : name_(std::move(name)),
        make_(std::move(make)),
        data_(std::move(data)),
        steps_(steps),
        fitted_rows_(fitted_rows),
        key_(Key(seed).with("code model")),
        model_(make_model()) {}

  FitSettings settings() const override { return {{"steps", steps_}, {"fitted_rows", fitted_rows_}}; }

  std::vector<NamedTensor> tensors() override {
    std::vector<NamedTensor> all;
    for (const auto& item : model_->named_parameters()) all.emplace_back(item.key(), item.value());
    for (const auto& item : model_->named_buffers()) all.emplace_back(item.key(), item.value());
    return all;
  }

  void fit(const RunInUse& used, Workers& workers) override {
    const TrainingCodes codes = codes_of_training_rows(used, workers, fitted_rows_);
    const torch::Tensor label = all_labels(used, codes);
    const RowTraining how{
        .steps = steps_, .seed = key_.value(), .optimizer = {.clip_norm = 10, .schedule = "cosine"}};
    require_rows(used, count_points(*used.world, codes.points), label, how.batch);
    const Moments moments = moments_of(*used.world, workers, codes.points);
    const Transform& transform = model_->transform();
    transform.shift.copy_(moments.mean);
    transform.scale.copy_(moments.variance.clamp_min(0).sqrt());
    transform.scale.masked_fill_(transform.scale.eq(0), 1);
    const torch::Tensor x =
        transform.apply(all_points(*used.world, codes.points, data_.x.front()).to(torch::kFloat32));
    log::info("{}: fits the sampler {} to {} codes of training rows, in {} steps", used.run.directory, name_,
              x.size(0), steps_);
    const double loss = train(*used.world, workers, {.x = x, .label = label, .ids = {}}, how);
    log::info("{}: the sampler {} is fitted to {} codes of training rows: its loss is {:.2f} nats",
              used.run.directory, name_, x.size(0), loss);
  }

  void use_on(torch::Device device) override { model_->to(device); }

  torch::Tensor sample(int64_t n, const torch::Tensor& label, RandomGenerator& noise) const override {
    return model_->transform().undo(
        model_->generate_rows(n, label, {.how = Elements::drawn, .noise = &noise}, noise));
  }

 private:
  std::shared_ptr<Model> make_model() const {
    RandomGenerator init(key_.with("init"));
    std::shared_ptr<Model> model = make_(data_, init);
    model->set_transform(
        {.kind = "standardize", .shift = torch::zeros(data_.x), .scale = torch::ones(data_.x)});
    return model;
  }

  // A network would learn fewer codes by heart, and guess those of a class that it has not seen.
  void require_rows(const RunInUse& used, int64_t rows, const torch::Tensor& label, int64_t least) const {
    if (rows < least)
      usage_error("--sampler={}: needs {} training rows, and there are {}; use --sampler=gmm or prior", name_,
                  least, rows);
    if (!is_grouped_by_class(used.run)) return;
    const torch::Tensor counts = torch::bincount(label, {}, data_.classes);
    for (int64_t group = 0; group < data_.classes; ++group)
      if (counts[group].item<int64_t>() == 0)
        usage_error("--sampler={}: there are no training rows{}; use --sampler=prior", name_,
                    of_group(used.run, group));
  }

  double train(Communicator& world, Workers& workers, const Batch& rows, const RowTraining& how) {
    const torch::AutoGradMode with_gradients(true);
    std::vector<std::shared_ptr<Model>> replicas{make_model()};
    while (std::ssize(replicas) < workers.count()) replicas.push_back(make_model());
    const double loss = train_on_rows(world, workers, replicas, rows, how);
    const torch::NoGradGuard no_grad;
    const std::vector<torch::Tensor> trained = replicas.front()->parameters(), kept = model_->parameters();
    for (size_t i = 0; i < kept.size(); ++i) kept[i].copy_(trained[i]);
    return loss;
  }

  std::string name_;
  MakeCodeModel make_;
  DataShape data_;
  int64_t steps_, fitted_rows_;
  Key key_;
  std::shared_ptr<Model> model_;
};

}  // namespace

std::unique_ptr<FittedSampler> make_network_sampler(std::string name, MakeCodeModel make,
                                                    const SamplerOptions& options, const RunInUse& used) {
  constexpr int64_t most_numbers = 1 << 27;  // of codes in double precision: 1 GiB
  const SavedRun& run = used.run;
  const int64_t latent = run.model->latent_size();
  const int64_t rows = std::min(options.fitted_rows, run.checkpoint.data.rows);
  if (rows > most_numbers / latent)
    usage_error(
        "--sampler={}: {} codes of {} dimensions do not fit in 1 GiB; expected at most --fitted_rows={}",
        name, rows, latent, most_numbers / latent);
  DataShape data{.x = {latent}, .kind = "tabular"};
  if (run.model->conditional()) {
    data.classes = run.checkpoint.data.classes;
    data.label_features = run.checkpoint.data.label_features;
  }
  return std::make_unique<NetworkSampler>(std::move(name), std::move(make), std::move(data),
                                          options.steps == "auto" ? 5000 : std::stoll(options.steps),
                                          options.fitted_rows, static_cast<uint64_t>(run.config->train.seed));
}

int64_t hidden_width(int64_t latent) { return std::clamp<int64_t>(4 * latent, 128, 512); }

}  // namespace elbo
