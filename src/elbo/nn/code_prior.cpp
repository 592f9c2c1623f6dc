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
  // The last row of forward(x), (b, 1, columns, out).
  torch::Tensor last_row(const torch::Tensor& x) {
    std::vector<torch::Tensor> seen;
    seen.reserve(offsets_.size());
    for (const Offset& offset : offsets_) seen.push_back(shifted(x, offset).narrow(1, x.size(1) - 1, 1));
    return linear_->forward(torch::cat(seen, 3));
  }
  // One position of forward(x), (b, out), from the values at its offsets, (b, in) each.
  torch::Tensor position(const std::vector<torch::Tensor>& seen) {
    return linear_->forward(torch::cat(seen, 1));
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

  // forward() in raster order, as sampling needs it. A row of the vertical stack, (b, 1, columns, 2·width)
  // before the gate, from the stack's input in this row and the row above, (b, 2, columns, width);
  torch::Tensor vertical_row(const torch::Tensor& rows) { return vertical_->last_row(rows); }
  // what the horizontal stack sees of the vertical one in the row above, (b, 1, columns, 2·width);
  torch::Tensor from_above(const torch::Tensor& row_above) { return link_->forward(row_above); }
  // and a position of the horizontal stack, (b, width), from its input there and to the left. The first layer
  // does not use `here`.
  torch::Tensor horizontal_position(const torch::Tensor& above, const torch::Tensor& left,
                                    const torch::Tensor& here) {
    const torch::Tensor from_left =
        horizontal_->position(first_ ? std::vector{left} : std::vector{left, here});
    const torch::Tensor next = last_->forward(gate(above + from_left));
    return first_ ? next : here + next;
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
        width_(options.width),
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
    return head(horizontal).flatten(1, 2);
  }

  // Each activation is computed once: a row of the vertical stacks when the codes of the row are known, and a
  // position of the horizontal stacks when the codes before it are.
  torch::Tensor sample(int64_t n, RandomGenerator& noise) override {
    torch::Tensor codes =
        torch::zeros({n, plane_[0], plane_[1]}, torch::dtype(torch::kInt64).device(noise.device()));
    const torch::Tensor no_row = torch::zeros({n, 1, plane_[1], width_}, noise.device());
    std::vector<torch::Tensor> rows_above(layers_.size(), no_row);  // input of each layer's vertical stack
    std::vector<torch::Tensor> from_above;  // (n, 1, columns, 2·width) for each layer
    from_above.reserve(layers_.size());
    for (const auto& layer : layers_)
      from_above.push_back(layer->from_above(torch::cat({no_row, no_row}, 3)));
    for (int64_t row = 0; row < plane_[0]; ++row) {
      sample_row(codes.select(1, row), from_above, noise);
      torch::Tensor vertical = vectors_->forward(codes.narrow(1, row, 1));
      for (size_t layer = 0; layer < layers_.size(); ++layer) {
        const torch::Tensor features =
            layers_[layer]->vertical_row(torch::cat({rows_above[layer], vertical}, 1));
        rows_above[layer] = vertical;
        from_above[layer] = layers_[layer]->from_above(features);
        vertical = gate(features);
      }
    }
    return codes.flatten(1);
  }

 private:
  torch::Tensor head(const torch::Tensor& horizontal) {  // (…, width) → (…, size)
    return out_->forward(hidden_->forward(horizontal.relu()).relu());
  }

  // codes: (n, columns), written.
  void sample_row(const torch::Tensor& codes, const std::vector<torch::Tensor>& from_above,
                  RandomGenerator& noise) {
    const torch::Tensor nothing = torch::zeros({codes.size(0), width_}, noise.device());
    std::vector<torch::Tensor> left(layers_.size(), nothing);  // input of each layer's horizontal stack
    for (int64_t column = 0; column < plane_[1]; ++column) {
      torch::Tensor here = nothing;
      for (size_t layer = 0; layer < layers_.size(); ++layer) {
        const torch::Tensor next = layers_[layer]->horizontal_position(
            from_above[layer].select(2, column).squeeze(1), left[layer], here);
        left[layer] = std::exchange(here, next);
      }
      const torch::Tensor code = sample_categorical(head(here), 1, noise);
      codes.select(1, column).copy_(code);
      left[0] = vectors_->forward(code);
    }
  }

  Grid plane_;  // rows, columns
  int64_t width_;
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
