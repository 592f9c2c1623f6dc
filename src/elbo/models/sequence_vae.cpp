// The VAE of sequences of Bowman et al. 2016: one z for a sequence, a recurrent encoder, and an
// autoregressive decoder that predicts each element from z and the elements before it. Rows are tokens
// (time), vectors (time, features) or images (time, channels, height, width). Padding (step ≥ length) is
// masked out of every term, and recurrent states are computed up to the longest row of a microbatch.
//
// For tokens the metric `tokens` counts predictions: the perplexity is exp((reconstruction + kl) / tokens).
#include <torch/types.h>

#include "elbo/models/sequence_elements.h"
#include "elbo/models/spec.h"
#include "elbo/nn/distributions.h"
#include "elbo/nn/layers.h"
#include "elbo/nn/recurrent.h"
#include "elbo/nn/sequences.h"
#include "elbo/objectives/bounds.h"

namespace elbo {
namespace {

struct SequenceVaeOptions {
  int64_t latent = 32, hidden = 256;
  std::string decoder = "gru";
  std::vector<int64_t> dilations = {1, 2, 4};
  double word_dropout = 0;
  ElementOptions elements;
  KlOptions kl;
  void bind(OptionTable& table) {
    table.add("model.latent", latent, "dimensions of z", Range::between(1, 1 << 20));
    table.add("model.hidden", hidden, "width of the states of encoder and decoder",
              Range::between(1, 1 << 16));
    table.add_choice(
        "model.decoder", decoder, sequence_decoder_names(),
        "network that reads the preceding elements: a recurrent network, or causal convolutions");
    table.add("model.dilations", dilations,
              "causal_conv: dilation of each layer, whose kernels have three elements",
              Range::between(1, 1 << 16));
    table.add("model.word_dropout", word_dropout,
              "fraction of the elements that the decoder does not see in training (Bowman et al. 2016)",
              Range::between(0, 1));
    elements.bind(table);
    kl.bind(table);
  }
};

class SequenceVae : public Model {
 public:
  SequenceVae(const ModelContext& context, const SequenceVaeOptions& options, RandomGenerator& init)
      : options_(options), is_text_(context.data.tokens > 0) {
    elements_ = register_module("elements", make_elements(context, options.elements, options.hidden, init));
    encoder_ = register_module("encoder", std::make_shared<Gru>(elements_->width(), options.hidden, init));
    posterior_ =
        register_module("posterior", std::make_shared<Linear>(options.hidden, 2 * options.latent, init));
    decoder_ =
        register_module("decoder", make_sequence_decoder(options.decoder, elements_->width(), options.latent,
                                                         options.hidden, options.dilations, init));
  }

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    torch::Tensor dropped;
    if (options_.word_dropout > 0)
      dropped =
          noise.uniform({batch.size(), elements_->steps()}).lt(options_.word_dropout).to(torch::kFloat32);
    return bound(batch, dropped, options_.kl, step_context.step, noise);
  }
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    return bound(batch, {}, {}, 0, noise);
  }

  // One sample at a time, because logits over a vocabulary take much memory.
  std::optional<torch::Tensor> log_weights(const Batch& batch, int64_t k, RandomGenerator& noise) override {
    const DensitySample sample = infer(batch).sample_with_log_prob(noise, k);
    std::vector<torch::Tensor> log_probs;
    for (const torch::Tensor& z : sample.z.unbind(0)) log_probs.push_back(-reconstruction(z, batch, {}));
    return standard_normal_log_prob(sample.z) - sample.log_prob + torch::stack(log_probs);
  }

  // Each element is predicted from z and the elements before it.
  torch::Tensor impute(const Batch& batch, int64_t k, RandomGenerator& noise) override {
    const DensitySample sample = infer(batch).sample_with_log_prob(noise, k);
    std::vector<torch::Tensor> log_probs, rows;
    for (const torch::Tensor& z : sample.z.unbind(0)) {
      const torch::Tensor features = features_of(z, batch, {}, elements_->steps());
      log_probs.push_back(elements_->log_prob(features, batch.marked(), batch.length));
      rows.push_back(predicted_rows(*elements_, features));
    }
    return importance_weighted_mean(
        standard_normal_log_prob(sample.z) - sample.log_prob + torch::stack(log_probs), torch::cat(rows));
  }

  Latent encode(const Batch& batch) override {
    const DiagonalNormal posterior = infer(batch);
    return {posterior.mean, posterior.logvar, posterior.kl_to_standard()};
  }

  // Each element is chosen given those before it: for the mean of tokens, greedy decoding.
  torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor&,
                          const ElementChoice& choice) override {
    return generate(
        z, [&](int64_t, const torch::Tensor& features) { return elements_->choose(features, choice); });
  }

  // z is a sample of the posterior given the prefix; of the prior where the prefix has no element.
  std::optional<torch::Tensor> continue_from(const Batch& batch, const Continuation& continuation,
                                             RandomGenerator& noise) override {
    Batch prefix = batch;
    prefix.length =
        torch::full({batch.size()}, continuation.prefix_length, batch.ids.options().device(batch.x.device()));
    const torch::Tensor known = elements_->targets(batch.marked());
    const int64_t known_steps = prefix_steps(*elements_, batch, continuation.prefix_length);
    const torch::Tensor z =
        known_steps > 0 ? infer(prefix).sample(noise) : prior_sample(batch.size(), {}, noise);
    return generate(z, [&](int64_t step, const torch::Tensor& features) {
      if (step < known_steps) return known.select(1, step);
      return elements_->choose(features, continuation.elements);
    });
  }
  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    return noise.normal({n, options_.latent});
  }
  bool uses_length() const override { return true; }
  int64_t latent_size() const override { return options_.latent; }
  std::shared_ptr<const Likelihood> likelihood() const override { return elements_->likelihood(); }

 private:
  // Rows of the elements choose(step, features (n, hidden)).
  template <typename Choose>
  torch::Tensor generate(const torch::Tensor& z, const Choose& choose) {
    torch::Tensor state = decoder_->initial_state(z),
                  element = elements_->initial_input(z.size(0), z.device());
    std::vector<torch::Tensor> elements;
    elements.reserve(static_cast<size_t>(elements_->steps()));
    for (int64_t step = 0; step < elements_->steps(); ++step) {
      element = choose(step, decoder_->step(elements_->embed(element), z, state));
      elements.push_back(element);
    }
    return elements_->assemble(elements);
  }

  // From the encoder's state after the last element that is not padding; from zeros for an empty sequence.
  DiagonalNormal infer(const Batch& batch) {
    const torch::Tensor zeros = torch::zeros({batch.size(), options_.hidden}, batch.x.device());
    const torch::Tensor states =
        encoder_->unroll(elements_->embed(batch.marked()), zeros, longest_row(batch.length, batch.x.size(1)));
    if (!batch.length.defined()) return DiagonalNormal::of(posterior_->forward(states.select(1, -1)));
    const torch::Tensor all = torch::cat({zeros.unsqueeze(1), states}, 1);
    const torch::Tensor last = batch.length.view({-1, 1, 1}).expand({-1, 1, options_.hidden});
    return DiagonalNormal::of(posterior_->forward(all.gather(1, last).squeeze(1)));
  }

  // (b, steps, hidden); steps from `end` on are any finite values.
  torch::Tensor features_of(const torch::Tensor& z, const Batch& batch, const torch::Tensor& dropped,
                            int64_t end) {
    const torch::Tensor inputs = elements_->embed(elements_->decoder_inputs(batch.marked(), dropped));
    return decoder_->forward(inputs, z, end);
  }

  torch::Tensor reconstruction(const torch::Tensor& z, const Batch& batch, const torch::Tensor& dropped) {
    const torch::Tensor features = features_of(z, batch, dropped, unpadded_steps(*elements_, batch));
    return -elements_->log_prob(features, batch.marked(), batch.length);
  }

  // -ELBO (Kingma & Welling 2014, eq. 10).
  LossTerms bound(const Batch& batch, const torch::Tensor& dropped, const KlOptions& kl, int64_t step,
                  RandomGenerator& noise) {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor nats = reconstruction(posterior.sample(noise), batch, dropped);
    LossTerms terms = negative_elbo(nats, posterior.kl_to_standard(), kl, step);
    if (is_text_) terms.add_metric("tokens", elements_->mask(batch.x, batch.length).sum(1));
    return terms;
  }

  SequenceVaeOptions options_;
  bool is_text_;
  std::shared_ptr<SequenceElements> elements_;
  std::shared_ptr<Gru> encoder_;
  std::shared_ptr<Linear> posterior_;
  std::shared_ptr<SequenceDecoder> decoder_;
};

}  // namespace

std::unique_ptr<ModelSpec> sequence_vae_spec() {
  return std::make_unique<SpecOf<SequenceVae, SequenceVaeOptions>>(
      "sequence_vae", "VAE of sequences of tokens or vectors: one z and an autoregressive decoder",
      "Bowman et al., Generating Sentences from a Continuous Space, CoNLL 2016");
}

}  // namespace elbo
