// The variational recurrent network of Chung et al. 2015: a z for each step of a sequence. Prior, encoder,
// decoder and recurrence depend on the state h_t-1, a function of the previous x and z:
//
//   prior      p(z_t | h_t-1)        encoder    q(z_t | x_t, h_t-1)       (eq. 5, 9)
//   decoder    p(x_t | z_t, h_t-1)   recurrence h_t = f(x_t, z_t, h_t-1)  (eq. 6, 7)
//
// where x_t and z_t are embedded by networks. Rows are those of sequence_vae. Padding (step ≥ length) is
// masked out of every term, and states are computed up to the longest row of a microbatch.
//
// The model's z (steps·latent) is the concatenation over steps. encode() follows the encoder's means;
// variances and KL terms are those along this path. prior_sample() feeds back the decoder's means (for
// tokens: the most probable), and decode_as() what it chooses, so that with means a row is a function of z.
#include <torch/types.h>

#include <functional>

#include "elbo/models/sequence_elements.h"
#include "elbo/models/spec.h"
#include "elbo/nn/distributions.h"
#include "elbo/nn/networks.h"
#include "elbo/nn/recurrent.h"
#include "elbo/nn/vrnn_loop.h"
#include "elbo/objectives/bounds.h"

namespace elbo {
namespace {

struct VrnnOptions {
  int64_t latent = 16, hidden = 256;
  std::string cell = "gru";
  ElementOptions elements;
  KlOptions kl;
  void bind(OptionTable& table) {
    table.add("model.latent", latent, "dimensions of the z of each step", Range::between(1, 1 << 16));
    table.add("model.hidden", hidden, "width of the recurrent state, and of the features of x and z",
              Range::between(1, 1 << 16));
    table.add_choice("model.cell", cell, cell_names(), "recurrent cell");
    elements.bind(table);
    kl.bind(table);
  }
};

class Vrnn : public Model {
 public:
  Vrnn(const ModelContext& context, const VrnnOptions& options, RandomGenerator& init)
      : options_(options),
        is_text_(context.data.tokens > 0),
        activation_(find_activation(context.network.activation)) {
    const int64_t latent = options.latent, hidden = options.hidden;
    const auto network = [&](const char* name, int64_t in, int64_t out) {
      std::vector<int64_t> widths = {in};
      widths.insert(widths.end(), context.network.hidden.begin(), context.network.hidden.end());
      widths.push_back(out);
      return register_module(name, std::make_shared<Mlp>(widths, activation_, init));
    };
    elements_ = register_module("elements", make_elements(context, options.elements, hidden, init));
    see_x_ = network("see_x", elements_->width(), hidden);
    see_z_ = network("see_z", latent, hidden);
    prior_ = network("prior", hidden, 2 * latent);
    encoder_ = network("encoder", 2 * hidden, 2 * latent);
    decoder_ = network("decoder", 2 * hidden, hidden);
    cell_ = register_module("cell", make_cell(options.cell, 2 * hidden, hidden, init));
  }

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    return bound(batch, options_.kl, step_context.step, noise);
  }
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    return bound(batch, {}, 0, noise);
  }

  // One sample at a time, because the states of all steps take much memory.
  std::optional<torch::Tensor> log_weights(const Batch& batch, int64_t k, RandomGenerator& noise) override {
    std::vector<torch::Tensor> log_weights;
    log_weights.reserve(static_cast<size_t>(k));
    for (int64_t sample = 0; sample < k; ++sample)
      log_weights.push_back(weigh(batch, unpadded_steps(*elements_, batch), noise).log_weight);
    return torch::stack(log_weights);
  }

  // Each element is predicted from the path up to its step.
  torch::Tensor impute(const Batch& batch, int64_t k, RandomGenerator& noise) override {
    std::vector<torch::Tensor> log_weights, rows;
    for (int64_t sample = 0; sample < k; ++sample) {
      const Weighted weighted = weigh(batch, elements_->steps(), noise);
      log_weights.push_back(weighted.log_weight);
      rows.push_back(predicted_rows(*elements_, weighted.path.features));
    }
    return importance_weighted_mean(torch::stack(log_weights), torch::cat(rows));
  }

  // Padding has zeros.
  Latent encode(const Batch& batch) override {
    const Path path = along(elements_->targets(batch.marked()), {}, unpadded_steps(*elements_, batch));
    const torch::Tensor weights = mask(batch);
    const auto flat = [&](const torch::Tensor& steps) { return (steps * weights).flatten(1); };
    return {flat(path.z), flat(path.posterior.logvar), flat(path.posterior.kl_to(path.prior)),
            flat(path.prior.standardized(path.z)), flat(torch::ones_like(path.z))};
  }

  torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor&,
                          const ElementChoice& choice) override {
    const torch::Tensor per_step = z.unflatten(1, {elements_->steps(), options_.latent});
    const auto from_z = [&](int64_t step, const torch::Tensor&) { return per_step.select(1, step); };
    return elements_->assemble(
        generate(start(z.size(0), z.device()), elements_->steps(), from_z, chosen(choice)).x);
  }

  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    const Generated all =
        generate(start(n, noise.device()), elements_->steps(), from_prior(noise), chosen({}));
    return torch::stack(all.z, 1).flatten(1);
  }
  // The prior of a step depends on the elements before it, as they are chosen.
  torch::Tensor generate_rows(int64_t n, const torch::Tensor& /*label*/, const ElementChoice& choice,
                              RandomGenerator& noise) override {
    return elements_->assemble(
        generate(start(n, noise.device()), elements_->steps(), from_prior(noise), chosen(choice)).x);
  }

  std::optional<torch::Tensor> continue_from(const Batch& batch, const Continuation& continuation,
                                             RandomGenerator& noise) override {
    const int64_t prefix = prefix_steps(*elements_, batch, continuation.prefix_length);
    const torch::Tensor x = elements_->targets(batch.marked()).narrow(1, 0, prefix);
    const torch::Tensor eps = epsilon(batch, noise).narrow(1, 0, prefix);
    // The prefix <bos> has no steps.
    const torch::Tensor state =
        prefix > 0 ? along(x, eps, prefix).state : start(batch.size(), batch.x.device());
    const Generated rest =
        generate(state, elements_->steps() - prefix, from_prior(noise), chosen(continuation.elements));
    std::vector<torch::Tensor> all = x.unbind(1);
    all.insert(all.end(), rest.x.begin(), rest.x.end());
    return elements_->assemble(all);
  }

  bool uses_length() const override { return true; }
  std::string why_codes_have_no_density() const override {
    return "each z depends on the elements before it";
  }
  int64_t latent_size() const override { return elements_->steps() * options_.latent; }
  std::shared_ptr<const Likelihood> likelihood() const override { return elements_->likelihood(); }

 private:
  // The variables of each step along sequences.
  struct Path {
    DiagonalNormal prior, posterior;  // (b, steps, latent)
    torch::Tensor z;                  // (b, steps, latent)
    torch::Tensor features;           // (b, steps, hidden), from which elements are predicted
    torch::Tensor state;              // (b, state_size), after the last step that is computed
  };
  // (step, the state's output before it) → z (n, latent); features (n, hidden) → element (n, …).
  using ChooseZ = std::function<torch::Tensor(int64_t, const torch::Tensor&)>;
  using ChooseX = std::function<torch::Tensor(const torch::Tensor&)>;
  struct Generated {
    std::vector<torch::Tensor> z, x;  // per step, (n, latent) and (n, …)
  };

  torch::Tensor start(int64_t n, torch::Device device) const {
    return torch::zeros({n, cell_->state_size()}, device);
  }
  torch::Tensor epsilon(const Batch& batch, RandomGenerator& noise) const {
    return noise.normal({batch.size(), elements_->steps(), options_.latent});
  }
  torch::Tensor mask(const Batch& batch) const {  // (b, steps, 1)
    return elements_->mask(batch.x, batch.length).unsqueeze(2);
  }
  torch::Tensor embed(const torch::Tensor& x) { return activation_(see_x_->forward(elements_->embed(x))); }
  torch::Tensor features(const torch::Tensor& seen_z, const torch::Tensor& before) {
    return activation_(decoder_->forward(torch::cat({seen_z, before}, -1)));
  }

  // x (b, steps, …), ε (b, steps, latent) of the posteriors' samples; undefined: their means. Steps from
  // `end` on are padding: their states are zeros. Values that no later step needs are computed for all steps
  // at once, with the padding, because the sums of their gradients would be added in another order without.
  Path along(const torch::Tensor& x, const torch::Tensor& epsilon, int64_t end) {
    const torch::Tensor elements = embed(x), first = start(x.size(0), x.device());
    const VrnnSteps all = has_sequence_kernel(elements)
                              ? vrnn_loop({encoder_->use(), see_z_->use(), cell_->use_input_layer(),
                                           cell_->use_hidden_layer(), activation_, cell_->kernel()},
                                          elements, epsilon, first, end)
                              : step_by_step(elements.unbind(1), epsilon, first, end);
    return {.prior = DiagonalNormal::of(prior_->forward(all.before)),
            .posterior = DiagonalNormal::of(all.posterior),
            .z = all.z,
            .features = features(all.seen_z, all.before),
            .state = all.state};
  }

  // vrnn_loop() in LibTorch's operators.
  VrnnSteps step_by_step(const std::vector<torch::Tensor>& elements, const torch::Tensor& epsilon,
                         torch::Tensor state, int64_t end) {
    std::vector<torch::Tensor> before, posteriors, z, seen_z;
    for (int64_t step = 0; step < end; ++step) {
      const torch::Tensor& element = elements[static_cast<size_t>(step)];
      before.push_back(cell_->output(state));
      posteriors.push_back(encoder_->forward(torch::cat({element, before.back()}, 1)));
      const DiagonalNormal posterior = DiagonalNormal::of(posteriors.back());
      z.push_back(epsilon.defined() ? posterior.reparameterize(epsilon.select(1, step)) : posterior.mean);
      seen_z.push_back(activation_(see_z_->forward(z.back())));
      state = cell_->step(torch::cat({element, seen_z.back()}, 1), state);
    }
    for (std::vector<torch::Tensor>* each : {&before, &posteriors, &z, &seen_z})
      each->resize(elements.size(), torch::zeros_like(each->front()));
    return {torch::stack(before, 1), torch::stack(posteriors, 1), torch::stack(z, 1), torch::stack(seen_z, 1),
            state};
  }

  // `steps` steps, starting from `state`.
  Generated generate(torch::Tensor state, int64_t steps, const ChooseZ& choose_z, const ChooseX& choose_x) {
    Generated all;
    for (int64_t step = 0; step < steps; ++step) {
      const torch::Tensor before = cell_->output(state);
      all.z.push_back(choose_z(step, before));
      const torch::Tensor seen_z = activation_(see_z_->forward(all.z.back()));
      all.x.push_back(choose_x(features(seen_z, before)));
      state = cell_->step(torch::cat({embed(all.x.back()), seen_z}, 1), state);
    }
    return all;
  }
  ChooseZ from_prior(RandomGenerator& noise) {
    return [this, &noise](int64_t, const torch::Tensor& before) {
      return DiagonalNormal::of(prior_->forward(before)).sample(noise);
    };
  }
  ChooseX chosen(const ElementChoice& choice) const {
    return [this, choice](const torch::Tensor& features) { return elements_->choose(features, choice); };
  }

  // A path of samples, and its log p(x,z)/q(z|x), (b).
  struct Weighted {
    Path path;
    torch::Tensor log_weight;
  };

  Weighted weigh(const Batch& batch, int64_t end, RandomGenerator& noise) {
    const torch::Tensor eps = epsilon(batch, noise);
    Path path = along(elements_->targets(batch.marked()), eps, end);
    const torch::Tensor log_ratio =
        path.prior.log_prob_per_dimension(path.z) - path.posterior.log_prob_of_noise(eps);
    const torch::Tensor log_weight = (log_ratio * mask(batch)).sum({1, 2}) +
                                     elements_->log_prob(path.features, batch.marked(), batch.length);
    return {std::move(path), log_weight};
  }

  // -ELBO, summed over the steps that are not padding (Chung et al. 2015, eq. 11).
  LossTerms bound(const Batch& batch, const KlOptions& kl, int64_t step, RandomGenerator& noise) {
    const Path path =
        along(elements_->targets(batch.marked()), epsilon(batch, noise), unpadded_steps(*elements_, batch));
    const torch::Tensor nats = -elements_->log_prob(path.features, batch.marked(), batch.length);
    const torch::Tensor per_step = path.posterior.kl_to(path.prior) * mask(batch);
    LossTerms terms =
        negative_elbo(nats, per_step.flatten(1), {.beta = kl.beta, .warmup_steps = kl.warmup_steps}, step);
    if (kl.free_bits > 0) {
      // Of each dimension at a step, the mean over all steps of the microbatch that are not padding.
      const torch::Tensor steps = mask(batch).sum();
      const torch::Tensor paid =
          (per_step.flatten(0, 1).sum(0) / steps).clamp_min(kl.free_bits).sum() * steps;
      terms.loss = nats.sum() + kl_weight(kl, step) * paid;
    }
    if (is_text_) terms.add_metric("tokens", elements_->mask(batch.x, batch.length).sum(1));
    return terms;
  }

  VrnnOptions options_;
  bool is_text_;
  Activation activation_;
  std::shared_ptr<SequenceElements> elements_;
  std::shared_ptr<Mlp> see_x_, see_z_, prior_, encoder_, decoder_;
  std::shared_ptr<RecurrentCell> cell_;
};

}  // namespace

std::unique_ptr<ModelSpec> vrnn_spec() {
  return std::make_unique<SpecOf<Vrnn, VrnnOptions>>(
      "vrnn", "recurrent VAE: a z for each step, with a prior conditioned on the previous steps",
      "Chung et al., A Recurrent Latent Variable Model for Sequential Data, NeurIPS 2015");
}

}  // namespace elbo
