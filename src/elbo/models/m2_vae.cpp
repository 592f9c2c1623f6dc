// Model M2 of Kingma, Mohamed, Rezende & Welling 2014: a row comes from a class y and a latent vector z, and
// few rows have a label. Where the label is unknown (-1), a classifier q(y|x) takes its place, and all
// classes are summed over.
#include <torch/types.h>

#include <cmath>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/data/labels.h"
#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"

namespace elbo {
namespace {

struct M2Options : GaussianVaeOptions {
  double classification_weight = 50;
  KlOptions kl;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    table.add("model.classification_weight", classification_weight,
              "weight of -log q(y|x) of a row with a label (alpha in Kingma et al. 2014, eq. 9)",
              Range::at_least(0));
    kl.bind_weight(table);
  }
};

int64_t required_classes(const ModelContext& context) {
  const DataShape& data = context.data;
  if (data.classes < 2)
    usage_error(
        "model.name={}: needs labels of at least two classes, -1 for rows without one, and {}; set "
        "data.label, or use vae",
        context.name,
        data.label_problem.empty() ? "this data set has none"
                                   : "those of this one are left out: " + data.label_problem);
  return data.classes;
}

// A code is (q(y|x), z): the probability of each class, and the mean of q(z|x, y) for the most probable one.
class M2Vae : public GaussianVae {
 public:
  M2Vae(const ModelContext& context, const M2Options& options, RandomGenerator& init)
      : GaussianVae(context, options, init, required_classes(context)),
        options_(options),
        classes_(context.data.classes),
        log_classes_(std::log(static_cast<double>(classes_))) {
    classifier_ = register_module("classifier",
                                  make_encoder(context.network, context.data.encoder_row(), classes_, init));
  }

  // Eq. 9: rows with a label, eq. 6; others, eq. 7.
  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    const torch::Tensor log_q = class_log_probs(batch);
    const torch::Tensor label = known_labels(batch), known = label.ge(0);
    const torch::Tensor given = label.clamp_min(0);
    LossTerms terms = bound(torch::where(known.unsqueeze(1), one_hot(given), log_q.exp()),
                            torch::where(known, 0.0, entropy(log_q)), batch, noise,
                            kl_weight(options_.kl, step_context.step));
    const torch::Tensor surprise = torch::where(known, -log_q.gather(1, given.unsqueeze(1)).squeeze(1), 0.0);
    terms.loss = terms.loss + options_.classification_weight * surprise;
    terms.add_metric("classification", surprise);
    return terms;
  }

  // -ELBO of x alone, eq. 7, whether the row has a label or not.
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    const torch::Tensor log_q = class_log_probs(batch);
    LossTerms terms = bound(log_q.exp(), entropy(log_q), batch, noise, 1);
    if (batch.label.defined()) terms.add_metric("right", log_q.argmax(1).eq(batch.label).to(torch::kFloat32));
    return terms;
  }

  // y is drawn from q(y|x), z from q(z|x, y).
  std::optional<torch::Tensor> log_weights(const Batch& batch, int64_t k, RandomGenerator& noise) override {
    const torch::Tensor log_q = class_log_probs(batch);
    std::vector<torch::Tensor> all;
    all.reserve(static_cast<size_t>(k));
    Batch drawn = batch;
    for (int64_t i = 0; i < k; ++i) {
      drawn.label = sample_categorical(log_q, 1, noise);
      const DensitySample sample = infer(drawn).sample_with_log_prob(noise, 1);
      all.push_back(joint_at(sample.z, drawn).log_weights(sample.log_prob) - log_classes_ -
                    log_q.gather(1, drawn.label.unsqueeze(1)).t());
    }
    return torch::cat(all);
  }

  // Of a code, which holds a class, too.
  std::optional<LogJoint> log_joint(const torch::Tensor& /*code*/, const Batch&) override {
    return std::nullopt;
  }

  Latent encode(const Batch& batch) override {
    const torch::Tensor log_q = class_log_probs(batch);
    Batch guessed = batch;
    guessed.label = log_q.argmax(1);
    return {torch::cat({log_q.exp(), infer(guessed).mean}, 1)};
  }
  torch::Tensor decode_as(const torch::Tensor& code, const torch::Tensor& /*label*/,
                          const ElementChoice& choice) override {
    const torch::Tensor label = code.narrow(1, 0, classes_).argmax(1);
    return GaussianVae::decode_as(code.narrow(1, classes_, options_.latent), label, choice);
  }
  torch::Tensor impute(const Batch& batch, int64_t /*k*/, RandomGenerator& /*noise*/) override {
    return decode_rows(encode(batch), batch);
  }
  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    const torch::Tensor place = noise.uniform({n}).mul(static_cast<double>(classes_)).floor();
    return torch::cat(
        {one_hot(place.to(torch::kInt64).clamp_max(classes_ - 1)), noise.normal({n, options_.latent})}, 1);
  }
  std::string why_codes_have_no_density() const override { return "its codes hold probabilities of classes"; }
  int64_t latent_size() const override { return classes_ + options_.latent; }

 private:
  torch::Tensor one_hot(const torch::Tensor& label) const {
    return torch::one_hot(label, classes_).to(torch::kFloat32);
  }
  torch::Tensor condition(const torch::Tensor& label) const override { return one_hot(label); }

  torch::Tensor class_log_probs(const Batch& batch) {  // log q(y|x), (b, classes)
    return classifier_->forward_input(seen_by(*classifier_, *likelihood(), batch)).log_softmax(1);
  }
  static torch::Tensor entropy(const torch::Tensor& log_q) { return -(log_q.exp() * log_q).sum(1); }

  // (b): the labels, unknown_class where the row has none of these classes.
  torch::Tensor known_labels(const Batch& batch) const {
    if (!batch.label.defined())
      return torch::full({batch.size()}, unknown_class, batch.x.options().dtype(torch::kInt64));
    return torch::where(batch.label.lt(classes_), batch.label, unknown_class);
  }

  // The batch once for each class, with that class as the label of its rows: (classes · b) rows.
  Batch with_every_class(const Batch& batch) const {
    const auto repeated = [&](const torch::Tensor& tensor) {
      return tensor.defined() ? torch::cat(std::vector<torch::Tensor>(static_cast<size_t>(classes_), tensor))
                              : tensor;
    };
    const torch::Tensor label = torch::arange(classes_, batch.x.options().dtype(torch::kInt64)).unsqueeze(1);
    return {repeated(batch.x), label.expand({classes_, batch.size()}).flatten(), repeated(batch.ids),
            repeated(batch.length), repeated(batch.observed)};
  }

  // E -log p(x|z, y) + weight · KL of q(y, z|x) from the prior, where y has the probabilities (b, classes)
  // with the entropy (b), and one sample of z for each class.
  LossTerms bound(const torch::Tensor& probabilities, const torch::Tensor& entropy_of_y, const Batch& batch,
                  RandomGenerator& noise, double weight) {
    const Batch all = with_every_class(batch);
    const DiagonalNormal posterior = infer(all);
    const auto mean = [&](const torch::Tensor& of_all) {
      return (of_all.view({classes_, batch.size()}).t() * probabilities).sum(1);
    };
    const torch::Tensor nats = mean(reconstruction(posterior.sample(noise), all));
    const torch::Tensor kl = mean(posterior.kl_to_standard().sum(1)) + log_classes_ - entropy_of_y;
    LossTerms terms;
    terms.loss = nats + weight * kl;
    terms.add_metric("reconstruction", nats);
    terms.add_metric("kl", kl);
    return terms;
  }

  M2Options options_;
  int64_t classes_;
  double log_classes_;
  std::shared_ptr<Encoder> classifier_;
};

}  // namespace

std::unique_ptr<ModelSpec> m2_vae_spec() {
  return std::make_unique<SpecOf<M2Vae, M2Options>>(
      "m2_vae", "semi-supervised VAE: classes and z, of rows of which few have a label",
      "Kingma, Mohamed, Rezende & Welling, Semi-supervised Learning with Deep Generative Models, NIPS 2014");
}

}  // namespace elbo
