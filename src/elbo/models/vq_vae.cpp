// The vector-quantised autoencoder of van den Oord, Vinyals & Kavukcuoglu 2017: the encoder's vectors are
// replaced by the nearest vectors of a codebook, and an autoregressive prior is trained on the codes.
#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/nn/code_networks.h"
#include "elbo/nn/code_prior.h"
#include "elbo/nn/codebook.h"

namespace elbo {
namespace {

struct VqVaeOptions {
  CodeOptions code;
  CodebookOptions codebook;
  CodePriorOptions prior;
  double commitment = 0.25;  // β of eq. 3
  int64_t prior_from = 0;  // step at which training changes from the model to the prior; 0: both at all steps
  LikelihoodOptions likelihood;

  void bind(OptionTable& table) {
    table.add(
        "model.codes", code.codes,
        "codes of a row; with network.kind=conv, the size of the grid of codes follows from the network",
        Range::between(1, 1 << 20));
    table.add("model.code_dim", code.dim, "dimensions of a code's vector", Range::between(1, 1 << 20));
    table.add("model.residual_blocks", code.residual_blocks,
              "conv: residual blocks on each side of the grid of codes, in place of the dense layers of "
              "network.hidden",
              Range::between(0, 1000));
    codebook.bind(table);
    table.add("model.commitment", commitment,
              "weight of the commitment loss, the encoder's distance from its codes", Range::at_least(0));
    prior.bind(table);
    table.add("model.prior_from", prior_from,
              "step from which only the prior over codes is trained, while optimizer.schedule continues; 0: "
              "model and prior are trained together from the first step",
              Range::at_least(0));
    likelihood.bind(table);
  }
};

class VqVae : public Model {
 public:
  VqVae(const ModelContext& context, const VqVaeOptions& options, RandomGenerator& init) : options_(options) {
    require_numeric_rows(context.data, context.name);
    const std::vector<int64_t>& row = context.data.x;
    likelihood_ = make_likelihood(options.likelihood, likelihood_rows(context.data));
    const CodeLayout layout = code_layout(context.network, row, options.code);
    codes_ = layout.codes();
    encoder_ = register_module(
        "encoder", make_code_encoder(context.network, context.data.encoder_row(), options.code, init));
    codebook_ =
        register_module("codebook", std::make_shared<Codebook>(options.codebook, options.code.dim, init));
    decoder_ = register_module("decoder", make_code_decoder(context.network, row, options.code,
                                                            likelihood_->param_channels(), init));
    register_module("likelihood", likelihood_);
    prior_ = register_module("prior", make_code_prior(options.prior, layout, options.codebook.size, init));
  }

  std::vector<Phase> phases() const override {
    const int64_t from = options_.prior_from;
    Phase model{.name = "model", .modules = {"encoder", "codebook", "decoder", "likelihood"}};
    if (from > 0) model.end_step = from;
    return {model, {.name = "prior", .modules = {"prior"}, .first_step = from}};
  }

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    return step_context.phase == "prior" ? prior_terms(batch) : model_terms(step_context, batch, noise);
  }

  void update_statistics(const StepContext&, const torch::Tensor& statistics) override {
    codebook_->update_statistics(statistics);
  }

  // -log p(x|c) - log p(c) at the encoder's codes c: -ELBO for a deterministic posterior, whose entropy is 0.
  // As p(x) = Σ p(x|c) p(c) over discrete codes, the loss is an upper bound of -log p(x).
  LossTerms evaluate(const Batch& batch, RandomGenerator&) override {
    const torch::Tensor codes = codebook_->nearest(encoder_->forward(batch.encoder_input()));
    const torch::Tensor nats = reconstruction(codebook_->vectors(codes), batch);
    const torch::Tensor nll = prior_->negative_log_likelihood(codes);
    LossTerms terms;
    terms.loss = nats + nll;
    terms.add_metric("reconstruction", nats);
    terms.add_metric("prior", nll);
    add_codebook_usage(terms, codes);
    return terms;
  }

  // The posterior is deterministic: all samples would be equal.
  std::optional<torch::Tensor> log_weights(const Batch&, int64_t, RandomGenerator&) override {
    return std::nullopt;
  }

  // The concatenated vectors of the codes. Points between vectors can be decoded, too.
  Latent encode(const Batch& batch) override {
    const torch::Tensor codes = codebook_->nearest(encoder_->forward(batch.encoder_input()));
    Latent latent{codebook_->vectors(codes).flatten(1)};
    latent.codes = codes;
    return latent;
  }
  torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor&,
                          const ElementChoice& choice) override {
    return likelihood_->choose(decoder_->forward(z.unflatten(1, {codes_, options_.code.dim})), choice);
  }
  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    return codebook_->vectors(prior_->sample(n, noise)).flatten(1);
  }
  std::string why_codes_have_no_density() const override {
    return "its codes are discrete and have a trained prior";
  }
  int64_t latent_size() const override { return codes_ * options_.code.dim; }
  int64_t codebook_size() const override { return codebook_->size(); }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 private:
  torch::Tensor reconstruction(const torch::Tensor& z, const Batch& batch) {
    return -likelihood_->log_prob(decoder_->forward(z), batch.x, batch.observed);
  }

  // Eq. 3. With moving averages, the second term is left to them (appendix A.1).
  LossTerms model_terms(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) {
    const torch::Tensor z = encoder_->forward(batch.encoder_input());
    const torch::Tensor codes = codebook_->nearest(z);
    const torch::Tensor e = codebook_->vectors(codes);
    const torch::Tensor nats = reconstruction(straight_through(z, e), batch);
    const torch::Tensor commitment = commitment_loss(z, e);
    LossTerms terms;
    terms.loss = nats + options_.commitment * commitment;
    terms.add_metric("reconstruction", nats);
    terms.add_metric("commitment", commitment);
    if (codebook_->learns_by_gradient()) {
      terms.loss = terms.loss + codebook_loss(z, e);
    } else {
      terms.statistics = codebook_->statistics(z, codes, step_context.microbatch == 0, noise);
    }
    add_codebook_usage(terms, codes);
    return terms;
  }

  LossTerms prior_terms(const Batch& batch) {
    const torch::Tensor codes = [&] {
      const torch::NoGradGuard no_grad;
      return codebook_->nearest(encoder_->forward(batch.encoder_input()));
    }();
    LossTerms terms;
    terms.loss = prior_->negative_log_likelihood(codes);
    terms.add_metric("prior", terms.loss);
    return terms;
  }

  // These metrics are not sums over rows. Multiplied by the rows of the microbatch, they are reported as the
  // mean over microbatches, which depends on train.microbatch.
  void add_codebook_usage(LossTerms& terms, const torch::Tensor& codes) const {
    const CodebookUsage use = codebook_usage(codes, codebook_->size());
    const auto rows = static_cast<double>(codes.size(0));
    terms.add_metric("perplexity", use.perplexity * rows);
    terms.add_metric("codes_in_use", use.used * rows);
  }

  VqVaeOptions options_;
  int64_t codes_ = 0;
  std::shared_ptr<CodeEncoder> encoder_;
  std::shared_ptr<Codebook> codebook_;
  std::shared_ptr<CodeDecoder> decoder_;
  std::shared_ptr<Likelihood> likelihood_;
  std::shared_ptr<CodePrior> prior_;
};

}  // namespace

std::unique_ptr<ModelSpec> vq_vae_spec() {
  return std::make_unique<SpecOf<VqVae, VqVaeOptions>>(
      "vq_vae", "vector-quantised autoencoder with an autoregressive prior of its codes",
      "van den Oord, Vinyals & Kavukcuoglu, Neural Discrete Representation Learning, NeurIPS 2017");
}

}  // namespace elbo
