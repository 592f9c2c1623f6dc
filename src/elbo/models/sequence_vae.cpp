// The VAE of sequences of Bowman et al. 2016: one z for a whole sequence, a recurrent encoder, and a decoder
// that tells each element from z and the elements before it. For rows of tokens (time), where <bos> is given
// and the elements to <eos> are told, and for rows of quantities (time, features) or
// pictures (time, channels, height, width), which networks of the section network see and tell. Steps from a
// row's length on change nothing.
//
// Beside reconstruction and kl, rows of tokens report how many tokens were told, so that the perplexity is
// exp((reconstruction + kl) / tokens).
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

  // One draw after another: the probabilities of a vocabulary take much memory.
  std::optional<torch::Tensor> log_weights(const Batch& batch, int64_t k, RandomGenerator& noise) override {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor z = posterior.sample(noise, k);
    std::vector<torch::Tensor> log_densities;
    for (const torch::Tensor& draw : z.unbind(0)) log_densities.push_back(-reconstruction(draw, batch, {}));
    return standard_normal_log_density(z) - posterior.log_prob(z) + torch::stack(log_densities);
  }

  Latent encode(const Batch& batch) override {
    const DiagonalNormal posterior = infer(batch);
    return {posterior.mean, posterior.logvar, posterior.kl_to_standard()};
  }

  // Each element in turn from z and those before it: of tokens the most probable, of quantities the mean.
  torch::Tensor decode(const torch::Tensor& z, const torch::Tensor&) override {
    return row_of(z, [&](int64_t, const torch::Tensor& features) { return elements_->predict(features); });
  }

  // z is drawn from what the encoder says of the elements that are given.
  std::optional<torch::Tensor> continue_from(const Batch& batch, const Continuation& continuation,
                                             RandomGenerator& noise) override {
    Batch beginning = batch;
    beginning.length =
        torch::full({batch.size()}, continuation.given, batch.ids.options().device(batch.x.device()));
    const torch::Tensor z = infer(beginning).sample(noise);
    const torch::Tensor known = elements_->targets(batch.x);
    const int64_t known_steps = steps_of(*elements_, batch, continuation.given);
    return row_of(z, [&](int64_t step, const torch::Tensor& features) {
      if (step < known_steps) return known.select(1, step);
      return next_element(*elements_, continuation, features, noise);
    });
  }
  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    return noise.normal({n, options_.latent});
  }
  bool uses_length() const override { return true; }
  int64_t latent_size() const override { return options_.latent; }
  std::shared_ptr<const Likelihood> likelihood() const override { return elements_->likelihood(); }

 private:
  // choose(step, features (n, hidden)): the element of each step in turn.
  template <typename Choose>
  torch::Tensor row_of(const torch::Tensor& z, const Choose& choose) {
    torch::Tensor state = decoder_->start(z), element = elements_->first(z.size(0), z.device());
    std::vector<torch::Tensor> predict;
    predict.reserve(static_cast<size_t>(elements_->steps()));
    for (int64_t step = 0; step < elements_->steps(); ++step) {
      element = choose(step, decoder_->step(elements_->seen(element), z, state));
      predict.push_back(element);
    }
    return elements_->row(predict);
  }

  // From the encoder's state after the last element that counts; from zeros where none does.
  DiagonalNormal infer(const Batch& batch) {
    const torch::Tensor nothing = torch::zeros({batch.size(), options_.hidden}, batch.x.device());
    const torch::Tensor states = encoder_->unroll(elements_->seen(batch.x), nothing);
    if (!batch.length.defined()) return DiagonalNormal::of(posterior_->forward(states.select(1, -1)));
    const torch::Tensor all = torch::cat({nothing.unsqueeze(1), states}, 1);
    const torch::Tensor last = batch.length.view({-1, 1, 1}).expand({-1, 1, options_.hidden});
    return DiagonalNormal::of(posterior_->forward(all.gather(1, last).squeeze(1)));
  }

  torch::Tensor reconstruction(const torch::Tensor& z, const Batch& batch, const torch::Tensor& dropped) {
    const torch::Tensor before = elements_->seen(elements_->before(batch.x, dropped));
    return -elements_->log_prob(decoder_->forward(before, z), batch.x, batch.length);
  }

  // -ELBO (Kingma & Welling 2014, eq. 10).
  LossTerms bound(const Batch& batch, const torch::Tensor& dropped, const KlOptions& kl, int64_t step,
                  RandomGenerator& noise) {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor nats = reconstruction(posterior.sample(noise), batch, dropped);
    LossTerms terms = negative_elbo(nats, posterior.kl_to_standard(), kl, step);
    if (is_text_) terms.add_metric("tokens", elements_->counted(batch.x, batch.length).sum(1));
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
      "sequence_vae", "one z for a sequence of tokens or quantities, an autoregressive decoder",
      "Bowman et al., Generating Sentences from a Continuous Space, CoNLL 2016");
}

}  // namespace elbo
