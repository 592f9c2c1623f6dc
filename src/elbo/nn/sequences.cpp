#include "elbo/nn/sequences.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/nn/distributions.h"
#include "elbo/nn/layers.h"
#include "elbo/nn/recurrent.h"

namespace elbo {
namespace {

class TokenElements : public SequenceElements {
 public:
  TokenElements(int64_t tokens, int64_t time, int64_t width, int64_t hidden, RandomGenerator& init)
      : time_(time),
        width_(width),
        embedding_(register_module("embedding", std::make_shared<Embedding>(tokens, width, init))),
        output_(register_module("output", std::make_shared<Linear>(hidden, tokens, init))) {}

  int64_t width() const override { return width_; }
  int64_t steps() const override { return time_ - 1; }
  torch::Tensor embed(const torch::Tensor& x) const override {
    return embedding_->forward(x.to(torch::kInt64));
  }
  torch::Tensor decoder_inputs(const torch::Tensor& x, const torch::Tensor& dropped) const override {
    torch::Tensor inputs = x.narrow(1, 0, steps());
    // <bos> is never dropped.
    if (dropped.defined())
      inputs = inputs.masked_fill(dropped.gt(0).logical_and(inputs.ne(static_cast<double>(bos_token))),
                                  static_cast<double>(unk_token));
    return inputs;
  }
  torch::Tensor mask(const torch::Tensor& x, const torch::Tensor& length) const override {
    return step_mask(length, x.size(0), time_, x.device()).narrow(1, 1, steps());
  }
  torch::Tensor targets(const torch::Tensor& x) const override { return x.narrow(1, 1, steps()); }
  // Logits over the vocabulary are the most expensive part: they are computed only where there is no padding.
  torch::Tensor log_prob(const torch::Tensor& features, const torch::Tensor& x,
                         const torch::Tensor& length) const override {
    const torch::Tensor counts = mask(x, length);
    const torch::Tensor places = counts.flatten().nonzero().squeeze(1);
    const torch::Tensor logits = output_->forward(features.flatten(0, 1).index_select(0, places));
    const torch::Tensor tokens = targets(x).flatten().index_select(0, places).to(torch::kInt64);
    const torch::Tensor chosen = torch::log_softmax(logits, 1).gather(1, tokens.unsqueeze(1)).squeeze(1);
    return torch::zeros_like(counts).masked_scatter(counts.gt(0), chosen).sum(1);
  }

  torch::Tensor initial_input(int64_t n, torch::Device device) const override {
    return torch::full({n}, static_cast<double>(bos_token),
                       torch::TensorOptions(torch::kFloat32).device(device));
  }
  torch::Tensor choose(const torch::Tensor& features, const ElementChoice& choice) const override {
    const torch::Tensor logits = output_->forward(features);
    const torch::Tensor token = choice.how == Elements::drawn
                                    ? sample_categorical(logits / choice.temperature, 1, *choice.noise)
                                    : logits.argmax(1);
    return token.to(torch::kFloat32);
  }
  torch::Tensor assemble(const std::vector<torch::Tensor>& elements) const override {
    const torch::Tensor tokens = torch::stack(elements, 1);
    const torch::Tensor is_end = tokens.eq(static_cast<double>(eos_token)).to(torch::kInt64);
    const torch::Tensor after_end = (is_end.cumsum(1) - is_end).gt(0);
    return torch::cat({initial_input(tokens.size(0), tokens.device()).unsqueeze(1),
                       tokens.masked_fill(after_end, static_cast<double>(pad_token))},
                      1);
  }
  std::shared_ptr<const Likelihood> likelihood() const override { return nullptr; }

 private:
  int64_t time_, width_;
  std::shared_ptr<Embedding> embedding_;
  std::shared_ptr<Linear> output_;
};

// Elements of the shape `sizes` with a likelihood. The input of the first step is zeros.
class NumericElements : public SequenceElements {
 public:
  int64_t steps() const override { return time_; }
  torch::Tensor decoder_inputs(const torch::Tensor& x, const torch::Tensor& dropped) const override {
    torch::Tensor inputs = torch::cat({torch::zeros_like(x.narrow(1, 0, 1)), x.narrow(1, 0, time_ - 1)}, 1);
    if (dropped.defined()) inputs = inputs * (1 - dropped).view(broadcastable(dropped));
    return inputs;
  }
  torch::Tensor mask(const torch::Tensor& x, const torch::Tensor& length) const override {
    return step_mask(length, x.size(0), time_, x.device());
  }
  torch::Tensor targets(const torch::Tensor& x) const override { return x; }
  torch::Tensor log_prob(const torch::Tensor& features, const torch::Tensor& x,
                         const torch::Tensor& length) const override {
    const torch::Tensor elements = x.flatten(0, 1);
    const torch::Tensor per_step =
        likelihood_->log_prob(decode(features.flatten(0, 1)), without_gaps(elements), observed(elements));
    return (per_step.view({features.size(0), time_}) * mask(x, length)).sum(1);
  }

  torch::Tensor initial_input(int64_t n, torch::Device device) const override {
    std::vector<int64_t> sizes = sizes_;
    sizes.insert(sizes.begin(), n);
    return torch::zeros(sizes, device);
  }
  torch::Tensor choose(const torch::Tensor& features, const ElementChoice& choice) const override {
    return likelihood_->choose(decode(features), choice);
  }
  torch::Tensor assemble(const std::vector<torch::Tensor>& elements) const override {
    return torch::stack(elements, 1);
  }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 protected:
  // `likelihood` is the module that the derived class registers.
  NumericElements(int64_t time, std::vector<int64_t> sizes, std::shared_ptr<Likelihood> likelihood,
                  bool masked)
      : time_(time), sizes_(std::move(sizes)), likelihood_(std::move(likelihood)), masked_(masked) {}
  bool masked() const { return masked_; }
  // x with 0 where it is missing, and where it is not (of x's shape; undefined unless masked).
  torch::Tensor without_gaps(const torch::Tensor& x) const { return masked_ ? x.nan_to_num(0.0) : x; }
  torch::Tensor observed(const torch::Tensor& x) const {
    return masked_ ? x.isnan().logical_not() : torch::Tensor();
  }
  const std::vector<int64_t>& sizes() const { return sizes_; }
  const std::shared_ptr<Likelihood>& likelihood_module() const { return likelihood_; }

 private:
  virtual torch::Tensor decode(
      const torch::Tensor& features) const = 0;  // (n, hidden) → (n, param_channels, …)
  std::vector<int64_t> broadcastable(const torch::Tensor& steps) const {  // (b, steps) → b, steps, 1, …
    std::vector<int64_t> shape(2 + sizes_.size(), 1);
    shape[0] = steps.size(0), shape[1] = steps.size(1);
    return shape;
  }

  int64_t time_;
  std::vector<int64_t> sizes_;
  std::shared_ptr<Likelihood> likelihood_;
  bool masked_;
};

class VectorElements : public NumericElements {
 public:
  VectorElements(int64_t time, int64_t features, int64_t hidden, std::string input_kind,
                 const std::shared_ptr<Likelihood>& likelihood, RandomGenerator& init, bool masked)
      : NumericElements(time, {features}, likelihood, masked),
        input_kind_(std::move(input_kind)),
        output_(register_module(
            "output", std::make_shared<Linear>(hidden, likelihood->param_channels() * features, init))) {
    register_module("likelihood", likelihood);
  }
  int64_t width() const override { return masked() ? 2 * sizes()[0] : sizes()[0]; }
  torch::Tensor embed(const torch::Tensor& x) const override {
    const torch::Tensor values =
        network_input(input_kind_, without_gaps(x).reshape({-1, sizes()[0]})).view_as(x);
    return masked() ? torch::cat({values, observed(x).to(x.scalar_type())}, -1) : values;
  }

 private:
  torch::Tensor decode(const torch::Tensor& features) const override {
    return output_->forward(features).unflatten(1, {likelihood_module()->param_channels(), sizes()[0]});
  }

  std::string input_kind_;
  std::shared_ptr<Linear> output_;
};

class FrameElements : public NumericElements {
 public:
  FrameElements(int64_t time, const std::vector<int64_t>& frame, const NetworkOptions& network, int64_t width,
                int64_t hidden, const std::shared_ptr<Likelihood>& likelihood, RandomGenerator& init,
                bool masked)
      : NumericElements(time, frame, likelihood, masked),
        width_(width),
        encoder_(register_module("encoder", make_encoder(network, seen_sizes(frame, masked), width, init))),
        decoder_(register_module("decoder",
                                 make_decoder(network, frame, hidden, likelihood->param_channels(), init))) {
    register_module("likelihood", likelihood);
  }
  int64_t width() const override { return width_; }
  torch::Tensor embed(const torch::Tensor& x) const override {
    std::vector<int64_t> shape(x.sizes().begin(), x.sizes().end() - 3);
    shape.push_back(width_);
    const torch::Tensor frames = x.reshape({-1, sizes()[0], sizes()[1], sizes()[2]});
    if (!masked()) return encoder_->forward(frames).view(shape);
    const torch::Tensor mask_of_frames = observed(frames).to(x.scalar_type());
    return encoder_->forward_input(torch::cat({encoder_->input(without_gaps(frames)), mask_of_frames}, 1))
        .view(shape);
  }

 private:
  // With the mask as further channels.
  static std::vector<int64_t> seen_sizes(std::vector<int64_t> frame, bool masked) {
    if (masked) frame.front() *= 2;
    return frame;
  }
  torch::Tensor decode(const torch::Tensor& features) const override { return decoder_->forward(features); }

  int64_t width_;
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Decoder> decoder_;
};

// inputs (b, steps, width), z (b, latent) → (b, steps, width + latent)
torch::Tensor with_z(const torch::Tensor& inputs, const torch::Tensor& z) {
  return torch::cat({inputs, z.unsqueeze(1).expand({-1, inputs.size(1), -1})}, 2);
}

class GruDecoder : public SequenceDecoder {
 public:
  GruDecoder(int64_t width, int64_t latent, int64_t hidden, RandomGenerator& init)
      : start_(register_module("start", std::make_shared<Linear>(latent, hidden, init))),
        cell_(register_module("cell", std::make_shared<Gru>(width + latent, hidden, init))) {}

  torch::Tensor forward(const torch::Tensor& inputs, const torch::Tensor& z, int64_t end) const override {
    return cell_->unroll(with_z(inputs, z), initial_state(z), end);
  }
  torch::Tensor initial_state(const torch::Tensor& z) const override {
    return torch::tanh(start_->forward(z));
  }
  torch::Tensor step(const torch::Tensor& input, const torch::Tensor& z,
                     torch::Tensor& state) const override {
    state = cell_->step(torch::cat({input, z}, 1), state);
    return state;
  }

 private:
  std::shared_ptr<Linear> start_;
  std::shared_ptr<Gru> cell_;
};

class CausalConvDecoder : public SequenceDecoder {
 public:
  CausalConvDecoder(int64_t width, int64_t latent, int64_t hidden, const std::vector<int64_t>& dilations,
                    RandomGenerator& init)
      : width_(width),
        input_(register_module("input", std::make_shared<Linear>(width + latent, hidden, init))) {
    for (const int64_t dilation : dilations) {
      convolutions_.push_back(
          register_module(fmt::format("conv{}", convolutions_.size()),
                          std::make_shared<CausalConv1d>(hidden, hidden, kernel, dilation, init)));
      past_ += (kernel - 1) * dilation;
    }
  }

  // All steps: the gradient of a convolution over fewer would be added in another order.
  torch::Tensor forward(const torch::Tensor& inputs, const torch::Tensor& z, int64_t /*end*/) const override {
    torch::Tensor h = input_->forward(with_z(inputs, z)).transpose(1, 2);
    for (const auto& convolution : convolutions_) h = h + torch::relu(convolution->forward(h));
    return h.transpose(1, 2);
  }
  // The state: the last inputs, as many as the receptive field holds.
  torch::Tensor initial_state(const torch::Tensor& z) const override {
    return torch::empty({z.size(0), 0, width_}, z.options());
  }
  torch::Tensor step(const torch::Tensor& input, const torch::Tensor& z,
                     torch::Tensor& state) const override {
    state = torch::cat({state, input.unsqueeze(1)}, 1);
    if (state.size(1) > past_ + 1) state = state.narrow(1, state.size(1) - past_ - 1, past_ + 1);
    return forward(state, z, state.size(1)).select(1, -1);
  }

 private:
  static constexpr int64_t kernel = 3;
  int64_t width_, past_ = 0;
  std::shared_ptr<Linear> input_;
  std::vector<std::shared_ptr<CausalConv1d>> convolutions_;
};

}  // namespace

std::shared_ptr<SequenceElements> make_token_elements(int64_t tokens, int64_t time, int64_t width,
                                                      int64_t hidden, RandomGenerator& init) {
  return std::make_shared<TokenElements>(tokens, time, width, hidden, init);
}

std::shared_ptr<SequenceElements> make_value_elements(int64_t time, int64_t features, int64_t hidden,
                                                      const std::string& input_kind,
                                                      const std::shared_ptr<Likelihood>& likelihood,
                                                      RandomGenerator& init, bool masked) {
  return std::make_shared<VectorElements>(time, features, hidden, input_kind, likelihood, init, masked);
}

std::shared_ptr<SequenceElements> make_frame_elements(int64_t time, const std::vector<int64_t>& frame,
                                                      const NetworkOptions& network, int64_t width,
                                                      int64_t hidden,
                                                      const std::shared_ptr<Likelihood>& likelihood,
                                                      RandomGenerator& init, bool masked) {
  return std::make_shared<FrameElements>(time, frame, network, width, hidden, likelihood, init, masked);
}

std::vector<std::string> sequence_decoder_names() { return {"gru", "causal_conv"}; }

std::shared_ptr<SequenceDecoder> make_sequence_decoder(const std::string& name, int64_t width, int64_t latent,
                                                       int64_t hidden, const std::vector<int64_t>& dilations,
                                                       RandomGenerator& init) {
  if (name == "gru") return std::make_shared<GruDecoder>(width, latent, hidden, init);
  if (name == "causal_conv")
    return std::make_shared<CausalConvDecoder>(width, latent, hidden, dilations, init);
  usage_error("model.decoder={}: expected one of {}", name, join(sequence_decoder_names(), ", "));
}

}  // namespace elbo
