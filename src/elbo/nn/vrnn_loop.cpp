#include "elbo/nn/vrnn_loop.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <span>
#include <utility>

#include "elbo/nn/distributions.h"
#include "elbo/operators/compute.h"

namespace elbo {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// (steps, rows, n), contiguous.
const float* at_step(const Tensor& x, int64_t step) { return x.const_data_ptr<float>() + step * x.stride(0); }
float* at_step(Tensor& x, int64_t step) { return x.mutable_data_ptr<float>() + step * x.stride(0); }
// The first `columns` columns of x's rows: of a step, or of `steps` steps.
MatrixView rows_of(const Tensor& x, int64_t step, int64_t columns, int64_t steps = 1) {
  return {at_step(x, step), steps * x.size(1), columns, x.stride(1), 1};
}
MatrixView rows_of(const Tensor& x, int64_t step) { return rows_of(x, step, x.size(2)); }
MatrixView matrix_of(const Tensor& weight) {
  return {weight.const_data_ptr<float>(), weight.size(0), weight.size(1), weight.stride(0), 1};
}

// A dense layer at every step. What it adds its products to is a bias, or, where this is undefined, what
// `output` holds before.
struct LoopLayer {
  LoopLayer(Tensor w, Tensor b, int64_t steps, int64_t rows)
      : weight(std::move(w)),
        bias(std::move(b)),
        output(torch::empty({steps, rows, weight.size(0)}, weight.options())) {}
  LoopLayer(Tensor w, const Tensor& addend)
      : weight(std::move(w)), output(addend.clone(torch::MemoryFormat::Contiguous)) {}

  void forward(int64_t step, const MatrixView& x) {
    const KernelsOf kernels(weight);
    if (bias.defined())
      kernels.product(x, matrix_of(weight).transposed(), bias.const_data_ptr<float>(), at_step(output, step));
    else
      kernels.add_product(x, matrix_of(weight).transposed(), at_step(output, step));
  }
  // d(input) += gradient·weight.
  void add_back(int64_t step, float* d_input) const {
    KernelsOf(weight).add_product(rows_of(gradient, step), matrix_of(weight), d_input);
  }
  // After all steps, where x are the inputs (steps, rows, ≥ in).
  Tensor weight_gradient(const Tensor& x) const {
    Tensor d = torch::empty({weight.size(0), weight.size(1)}, weight.options());
    const int64_t steps = gradient.size(0);
    KernelsOf(weight).product(rows_of(gradient, 0, gradient.size(2), steps).transposed(),
                              rows_of(x, 0, weight.size(1), steps), nullptr, d.mutable_data_ptr<float>());
    return d;
  }
  Tensor bias_gradient() const {
    Tensor d = torch::empty({weight.size(0)}, weight.options());
    KernelsOf(weight).column_sums(gradient.const_data_ptr<float>(), 1, gradient.size(0) * gradient.size(1),
                                  gradient.size(2), d.mutable_data_ptr<float>());
    return d;
  }

  Tensor weight, bias;
  Tensor output, gradient;  // (steps, rows, out), before the activation
};

// f'(x).
Tensor slopes(Activation f, const Tensor& x) {
  const torch::AutoGradMode on(true);
  const Tensor leaf = x.detach().requires_grad_();
  return torch::autograd::grad({f(leaf)}, {leaf}, {torch::ones_like(leaf)})[0];
}

// Dense layers with an activation between them, and one after the last where `ends_activated`.
struct LoopNetwork {
  LoopNetwork(Activation f, bool ends_activated) : activation(f), activated_end(ends_activated) {}

  void add(LoopLayer layer) {
    activated.push_back(torch::empty_like(layer.output));
    layers.push_back(std::move(layer));
  }
  bool is_activated(size_t i) const { return activated_end || i + 1 < layers.size(); }
  const Tensor& result(size_t i) const { return is_activated(i) ? activated[i] : layers[i].output; }
  const Tensor& result() const { return result(layers.size() - 1); }

  void forward(int64_t step, MatrixView x) {
    for (size_t i = 0; i < layers.size(); ++i) {
      layers[i].forward(step, x);
      if (is_activated(i)) activated[i].select(0, step).copy_(activation(layers[i].output.select(0, step)));
      x = rows_of(result(i), step);
    }
  }

  // d: of the result, (steps, rows, out).
  void begin_back(Tensor d) {
    activation_slopes.resize(layers.size());
    for (size_t i = 0; i < layers.size(); ++i) {
      layers[i].gradient = torch::zeros_like(layers[i].output);
      if (is_activated(i)) activation_slopes[i] = slopes(activation, layers[i].output);
    }
    layers.back().gradient = std::move(d);
  }
  // From the gradient of the result to that of the first layer's output.
  void back(int64_t step) {
    for (size_t i = layers.size(); i-- > 0;) {
      if (is_activated(i)) layers[i].gradient.select(0, step).mul_(activation_slopes[i].select(0, step));
      if (i > 0) layers[i].add_back(step, at_step(layers[i - 1].gradient, step));
    }
  }
  // Weights and biases of all layers; of the first, whose input is x, the bias where it has one.
  void add_gradients(const Tensor& x, variable_list& all) const {
    for (size_t i = 0; i < layers.size(); ++i) {
      all.push_back(layers[i].weight_gradient(i == 0 ? x : result(i - 1)));
      if (layers[i].bias.defined()) all.push_back(layers[i].bias_gradient());
    }
  }

  Activation activation;
  bool activated_end;
  std::vector<LoopLayer> layers;
  std::vector<Tensor> activated, activation_slopes;
};

// What the steps have computed. In the first layers of `encoder` and in `from_input`, `output` begins as what
// the elements add to it.
struct Loop : torch::CustomClassHolder {
  Loop(CellKernel kernel, Activation f, LoopLayer input, LoopLayer hidden_layer, Tensor noise,
       const Tensor& first)
      : cell(kernel),
        steps(input.output.size(0)),
        rows(input.output.size(1)),
        hidden(hidden_layer.weight.size(1)),
        encoder(f, false),
        see_z(f, true),
        from_input(std::move(input)),
        from_hidden(std::move(hidden_layer)),
        epsilon(std::move(noise)),
        states(torch::empty({steps + 1, rows, first.size(1)}, first.options())),
        kept(torch::empty({steps, rows, cell.kept * hidden}, first.options())) {
    states.select(0, 0).copy_(first);
  }

  void run() {
    const int64_t latent = encoder.layers.back().weight.size(0) / 2;
    z = torch::empty({steps, rows, latent}, states.options());
    if (epsilon.defined()) scale = torch::empty_like(z);
    for (int64_t step = 0; step < steps; ++step) {
      const MatrixView before = rows_of(states, step, hidden);
      encoder.forward(step, before);
      draw(step, latent);
      see_z.forward(step, rows_of(z, step));
      from_input.forward(step, rows_of(see_z.result(), step));
      from_hidden.forward(step, before);
      cell.step(
          states, rows, hidden,
          {at_step(std::as_const(from_input.output), step), at_step(std::as_const(from_hidden.output), step),
           before.data, at_step(kept, step), at_step(states, step + 1)});
    }
  }

  // z = mean + σ·ε.
  void draw(int64_t step, int64_t latent) {
    const Tensor posterior = encoder.layers.back().output.select(0, step),
                 mean = posterior.narrow(1, 0, latent);
    if (!epsilon.defined()) {
      z.select(0, step).copy_(mean);
      return;
    }
    Tensor sigma = scale.select(0, step), drawn = z.select(0, step);
    sigma.copy_(DiagonalNormal::of(posterior).logvar).mul_(0.5).exp_();
    torch::mul_out(drawn, sigma, epsilon.select(0, step)).add_(mean);
  }

  // Gradients of the results → of the inputs, in the order of `inputs` in vrnn_loop(). Those of z, of the
  // outputs before the steps and of the last state are overwritten.
  variable_list back(Tensor d_before, Tensor d_posterior, Tensor d_z, Tensor d_seen, Tensor d_state) {
    encoder.begin_back(std::move(d_posterior));
    see_z.begin_back(std::move(d_seen));
    from_input.gradient = torch::empty_like(from_input.output);
    from_hidden.gradient = torch::empty_like(from_hidden.output);
    Tensor d_next = torch::empty_like(d_state);
    for (int64_t step = steps - 1; step >= 0; --step) {
      std::swap(d_state, d_next);
      cell.step_back(states, rows, hidden,
                     {at_step(std::as_const(kept), step), at_step(std::as_const(from_hidden.output), step),
                      at_step(std::as_const(states), step), d_next.const_data_ptr<float>(),
                      at_step(from_input.gradient, step), at_step(from_hidden.gradient, step),
                      d_state.mutable_data_ptr<float>()});
      from_input.add_back(step, at_step(see_z.layers.back().gradient, step));
      see_z.back(step);
      see_z.layers.front().add_back(step, at_step(d_z, step));
      draw_back(step, d_z.select(0, step));
      encoder.back(step);
      Tensor output = d_before.select(0, step), through = d_state.narrow(1, 0, hidden);
      output.add_(through);
      encoder.layers.front().add_back(step, at_step(d_before, step));
      from_hidden.add_back(step, at_step(d_before, step));
      through.copy_(output);
    }
    variable_list all = {encoder.layers.front().gradient, from_input.gradient, d_state};
    encoder.add_gradients(states, all);
    see_z.add_gradients(z, all);
    all.push_back(from_input.weight_gradient(see_z.result()));
    all.push_back(from_hidden.weight_gradient(states));
    all.push_back(from_hidden.bias_gradient());
    return all;
  }

  // The bound of log variances lets their gradient through (nn/distributions.h).
  void draw_back(int64_t step, const Tensor& d_drawn) {
    const int64_t latent = d_drawn.size(1);
    Tensor d_posterior = encoder.layers.back().gradient.select(0, step);
    d_posterior.narrow(1, 0, latent).add_(d_drawn);
    if (!epsilon.defined()) return;
    d_posterior.narrow(1, latent, latent)
        .add_((d_drawn * epsilon.select(0, step)).mul_(scale.select(0, step)).mul_(0.5));
  }

  CellKernel cell;
  int64_t steps, rows, hidden;
  LoopNetwork encoder, see_z;
  LoopLayer from_input, from_hidden;
  Tensor epsilon, states, kept, z, scale;
};

// (steps, rows, n) ↔ (rows, steps, n), copied.
Tensor exchanged(const Tensor& x) { return x.transpose(0, 1).clone(torch::MemoryFormat::Contiguous); }

class LoopFunction : public torch::autograd::Function<LoopFunction> {
 public:
  // `inputs` are the tensors that the loop was made of, for their gradients.
  static variable_list forward(AutogradContext* context, at::TensorList /*inputs*/,
                               const c10::intrusive_ptr<Loop>& loop) {
    loop->run();
    context->saved_data["loop"] = torch::IValue::make_capsule(loop);
    const Tensor before = loop->states.narrow(0, 0, loop->steps).narrow(2, 0, loop->hidden);
    return {exchanged(before), exchanged(loop->encoder.result()), exchanged(loop->z),
            exchanged(loop->see_z.result()), loop->states.select(0, loop->steps).clone()};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    require_first_derivative();
    const auto loop = c10::static_intrusive_pointer_cast<Loop>(context->saved_data["loop"].toCapsule());
    variable_list all = loop->back(exchanged(gradients[0]), exchanged(gradients[1]), exchanged(gradients[2]),
                                   exchanged(gradients[3]), gradients[4].clone());
    all.emplace_back();  // of the loop itself
    return all;
  }
};

// The columns of a layer that two vectors enter, one after the other.
struct SplitLayer {
  SplitLayer(const Linear::Parameters& layer, int64_t first)
      : of_first{layer.weight.narrow(1, 0, first), layer.bias},
        of_second(layer.weight.narrow(1, first, layer.weight.size(1) - first)) {}
  // What the first vectors (b, time, first) give for `steps` steps: (steps, b, out).
  Tensor addend(const Tensor& x, int64_t steps) const {
    return torch::linear(x, of_first.weight, of_first.bias).transpose(0, 1).narrow(0, 0, steps);
  }
  Linear::Parameters of_first;
  Tensor of_second;
};

}  // namespace

VrnnSteps vrnn_loop(const VrnnLayers& layers, const Tensor& elements, const Tensor& epsilon,
                    const Tensor& state, int64_t steps) {
  const int64_t rows = elements.size(0), features = elements.size(2);
  const SplitLayer encoder(layers.encoder.front(), features), input(layers.cell_input, features);
  const Tensor to_encoder = encoder.addend(elements, steps), to_cell = input.addend(elements, steps);
  const auto [hidden_weight, hidden_bias] = layers.cell_hidden;
  const auto loop = c10::make_intrusive<Loop>(
      layers.cell, layers.activation, LoopLayer(input.of_second.detach(), to_cell.detach()),
      LoopLayer(hidden_weight.detach(), hidden_bias.detach(), steps, rows),
      epsilon.defined() ? exchanged(epsilon.narrow(1, 0, steps)) : Tensor(), state.detach());

  variable_list inputs = {to_encoder, to_cell, state, encoder.of_second};
  loop->encoder.add(LoopLayer(encoder.of_second.detach(), to_encoder.detach()));
  const auto add = [&](LoopNetwork& network, const Linear::Parameters& layer) {
    network.add(LoopLayer(layer.weight.detach(), layer.bias.detach(), steps, rows));
    inputs.insert(inputs.end(), {layer.weight, layer.bias});
  };
  for (size_t i = 1; i < layers.encoder.size(); ++i) add(loop->encoder, layers.encoder[i]);
  for (const Linear::Parameters& layer : layers.see_z) add(loop->see_z, layer);
  inputs.insert(inputs.end(), {input.of_second, hidden_weight, hidden_bias});

  variable_list results = LoopFunction::apply(at::TensorList(inputs), loop);
  for (Tensor& each : std::span(results).first(4))
    each = torch::constant_pad_nd(each, {0, 0, 0, elements.size(1) - steps});
  return {results[0], results[1], results[2], results[3], results[4]};
}

}  // namespace elbo
