#include "elbo/nn/code_prior.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <utility>
#include <vector>

#include "elbo/nn/distributions.h"
#include "elbo/nn/layers.h"
#include "elbo/nn/recurrent.h"

namespace elbo {
namespace {

struct Offset {
  int64_t row, column;
};

// x (b, rows, columns, width) → the same shape: each position holds the value at its offset, 0 outside of the
// grid.
torch::Tensor shifted(const torch::Tensor& x, Offset offset) {
  return torch::constant_pad_nd(x, {0, 0, -offset.column, offset.column, -offset.row, offset.row});
}

// A masked convolution, written as a linear map of the values at some offsets. The list of offsets is the
// mask: a masked position has no weight, rather than a weight of zero.
class MaskedConvolution : public torch::nn::Module {
 public:
  MaskedConvolution(int64_t in, int64_t out, std::vector<Offset> offsets, RandomGenerator& init)
      : offsets_(std::move(offsets)),
        linear_(register_module(
            "linear", std::make_shared<Linear>(in * static_cast<int64_t>(offsets_.size()), out, init))) {}
  torch::Tensor forward(const torch::Tensor& x) {
    std::vector<torch::Tensor> seen;
    seen.reserve(offsets_.size());
    for (const Offset& offset : offsets_) seen.push_back(shifted(x, offset));
    return linear_->forward(torch::cat(seen, 3));
  }

 private:
  std::vector<Offset> offsets_;
  std::shared_ptr<Linear> linear_;
};

// Eq. 2: tanh of one half of the features times σ of the other.
torch::Tensor gate(const torch::Tensor& features) {
  const std::vector<torch::Tensor> halves = features.chunk(2, -1);
  return torch::tanh(halves[0]) * torch::sigmoid(halves[1]);
}

// One layer of figure 2 with 3×3 convolutions. The vertical stack sees its own row and the rows above. The
// horizontal stack sees the vertical stack of the row above and the positions to its left; from the second
// layer on it sees its own position, too (mask A in the first layer, then mask B).
class GatedLayer : public torch::nn::Module {
 public:
  GatedLayer(int64_t width, bool first, RandomGenerator& init) : first_(first) {
    const std::vector<Offset> above = {{-1, -1}, {-1, 0}, {-1, 1}, {0, -1}, {0, 0}, {0, 1}};
    const std::vector<Offset> before =
        first ? std::vector<Offset>{{0, -1}} : std::vector<Offset>{{0, -1}, {0, 0}};
    vertical_ =
        register_module("vertical", std::make_shared<MaskedConvolution>(width, 2 * width, above, init));
    link_ = register_module("link", std::make_shared<Linear>(2 * width, 2 * width, init));
    horizontal_ =
        register_module("horizontal", std::make_shared<MaskedConvolution>(width, 2 * width, before, init));
    last_ = register_module("last", std::make_shared<Linear>(width, width, init));
  }

  void forward(torch::Tensor& vertical, torch::Tensor& horizontal) {
    const torch::Tensor rows = vertical_->forward(vertical);
    const torch::Tensor from_above = link_->forward(shifted(rows, {-1, 0}));
    const torch::Tensor from_left = horizontal_->forward(horizontal);
    const torch::Tensor next = last_->forward(gate(from_above + from_left));
    vertical = gate(rows);
    // A residual connection in the first layer would show a position its own code.
    horizontal = first_ ? next : horizontal + next;
  }

 private:
  bool first_;
  std::shared_ptr<MaskedConvolution> vertical_, horizontal_;
  std::shared_ptr<Linear> link_, last_;
};

class PixelCnn : public CodePrior {
 public:
  PixelCnn(const CodePriorOptions& options, Grid plane, int64_t size, RandomGenerator& init)
      : plane_(std::move(plane)),
        vectors_(register_module("vectors", std::make_shared<Embedding>(size, options.width, init))) {
    for (int64_t layer = 0; layer < options.layers; ++layer)
      layers_.push_back(register_module(fmt::format("layer{}", layer),
                                        std::make_shared<GatedLayer>(options.width, layer == 0, init)));
    hidden_ = register_module("hidden", std::make_shared<Linear>(options.width, options.width, init));
    out_ = register_module("out", std::make_shared<Linear>(options.width, size, init));
  }

  torch::Tensor logits(const torch::Tensor& codes) override {
    torch::Tensor vertical = vectors_->forward(codes).unflatten(1, plane_);
    torch::Tensor horizontal = vertical;
    for (const auto& layer : layers_) layer->forward(vertical, horizontal);
    const torch::Tensor h = hidden_->forward(horizontal.relu());
    return out_->forward(h.relu()).flatten(1, 2);
  }

  torch::Tensor sample(int64_t n, RandomGenerator& noise) override {
    const int64_t places = plane_[0] * plane_[1];
    torch::Tensor codes = torch::zeros({n, places}, torch::dtype(torch::kInt64).device(noise.device()));
    for (int64_t place = 0; place < places; ++place) {
      const torch::Tensor next = sample_categorical(logits(codes).select(1, place), 1, noise);
      codes.select(1, place).copy_(next);
    }
    return codes;
  }

 private:
  Grid plane_;  // rows, columns
  std::shared_ptr<Embedding> vectors_;
  std::vector<std::shared_ptr<GatedLayer>> layers_;
  std::shared_ptr<Linear> hidden_, out_;
};

class RecurrentPrior : public CodePrior {
 public:
  RecurrentPrior(const CodePriorOptions& options, int64_t codes, int64_t size, RandomGenerator& init)
      : codes_(codes), width_(options.width) {
    // The last vector is the start symbol.
    vectors_ = register_module("vectors", std::make_shared<Embedding>(size + 1, width_, init));
    for (int64_t layer = 0; layer < options.layers; ++layer)
      layers_.push_back(
          register_module(fmt::format("layer{}", layer), std::make_shared<Gru>(width_, width_, init)));
    out_ = register_module("out", std::make_shared<Linear>(width_, size, init));
    beginning_ = size;
  }

  torch::Tensor logits(const torch::Tensor& codes) override {
    const torch::Tensor before =
        torch::cat({torch::full_like(codes.narrow(1, 0, 1), beginning_), codes.narrow(1, 0, codes_ - 1)}, 1);
    torch::Tensor h = vectors_->forward(before);
    const torch::Tensor zeros = torch::zeros({codes.size(0), width_}, h.options());
    for (const auto& layer : layers_) h = layer->unroll(h, zeros);
    return out_->forward(h);
  }

  torch::Tensor sample(int64_t n, RandomGenerator& noise) override {
    torch::Tensor code = torch::full({n}, beginning_, torch::dtype(torch::kInt64).device(noise.device()));
    std::vector<torch::Tensor> hidden(layers_.size(), torch::zeros({n, width_}, noise.device()));
    std::vector<torch::Tensor> all;
    all.reserve(static_cast<size_t>(codes_));
    for (int64_t place = 0; place < codes_; ++place) {
      torch::Tensor h = vectors_->forward(code);
      for (size_t layer = 0; layer < layers_.size(); ++layer)
        h = hidden[layer] = layers_[layer]->step(h, hidden[layer]);
      code = sample_categorical(out_->forward(h), 1, noise);
      all.push_back(code);
    }
    return torch::stack(all, 1);
  }

 private:
  int64_t codes_, width_, beginning_;
  std::shared_ptr<Embedding> vectors_;
  std::vector<std::shared_ptr<Gru>> layers_;
  std::shared_ptr<Linear> out_;
};

}  // namespace

void CodePriorOptions::bind(OptionTable& table) {
  table.add("model.prior_width", width, "features of each layer of the prior over codes",
            Range::between(1, 1 << 20));
  table.add("model.prior_layers", layers, "layers of the prior over codes", Range::between(1, 1000));
}

torch::Tensor CodePrior::negative_log_likelihood(const torch::Tensor& codes) {
  const torch::Tensor log_probabilities = logits(codes).log_softmax(2);
  return -log_probabilities.gather(2, codes.unsqueeze(2)).sum({1, 2});
}

std::shared_ptr<CodePrior> make_code_prior(const CodePriorOptions& options, const CodeLayout& layout,
                                           int64_t size, RandomGenerator& init) {
  if (layout.grid.size() == 2) return std::make_shared<PixelCnn>(options, layout.grid, size, init);
  return std::make_shared<RecurrentPrior>(options, layout.codes(), size, init);
}

}  // namespace elbo
