#include "elbo/nn/bernoulli.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <bit>
#include <cmath>

#include "elbo/base/vectorize.h"

namespace elbo {
namespace {

// e⁻ᵃ for a ≥ 0, to 2 units in the last place (Cody & Waite's reduction, the polynomial of Moshier's Cephes).
// The result is at least e⁻⁸⁷.
[[gnu::always_inline]] inline float exp_of_negative(float a) {
  const float t = a < 87.0F ? -a : -87.0F;
  constexpr float shift = 0x1.8p23F;  // the last bits of a sum with it are the nearest integer
  const float shifted = t * 1.44269504F + shift;
  const float n = shifted - shift;
  const float r = (t - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const float mantissa = p * (r * r) + r + 1.0F;
  return mantissa * std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) + 127U) << 23);
}

// log(1 + e) for e in [0, 1]: 2 artanh(e/(2 + e)), with e/(2 + e) ≤ 1/3. The series ends where its terms fall
// below 1e-8 of the result.
[[gnu::always_inline]] inline float log_one_plus(float e) {
  const float s = e / (2.0F + e);
  const float q = s * s;
  float p = 1.0F / 13;
  p = p * q + 1.0F / 11;
  p = p * q + 1.0F / 9;
  p = p * q + 1.0F / 7;
  p = p * q + 1.0F / 5;
  p = p * q + 1.0F / 3;
  return 2.0F * s + 2.0F * s * (q * p);
}

struct Element {
  float log_prob, slope;
};

[[gnu::always_inline]] inline Element element(float logit, float x) {
  const float e = exp_of_negative(std::fabs(logit));
  const float inverse = 1.0F / (1.0F + e);
  const float positive = logit > 0 ? logit : 0.0F;
  const float sigmoid = logit > 0 ? inverse : e * inverse;
  return {(x * logit - positive) - log_one_plus(e), x - sigmoid};
}

// One row: returns its log likelihood and writes the derivative x - σ(l).
ELBO_VECTORIZE float log_prob_of_row(const float* logits, const float* x, int64_t features, float* slope) {
  float sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= features; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) {
      const Element here = element(logits[i + lane], x[i + lane]);
      sums[lane] += here.log_prob;
      slope[i + lane] = here.slope;
    }
  for (int lane = 0; i < features; ++i, ++lane) {
    const Element here = element(logits[i], x[i]);
    sums[lane] += here.log_prob;
    slope[i] = here.slope;
  }
  double sum = 0;
  for (const float lane : sums) sum += static_cast<double>(lane);
  return static_cast<float>(sum);
}

// logits (k, b, features), x (b, features), contiguous → log likelihood (k, b), slope (k, b, features).
std::pair<torch::Tensor, torch::Tensor> on_cpu(const torch::Tensor& logits, const torch::Tensor& x) {
  const int64_t rows = logits.size(0) * logits.size(1), features = logits.size(2);
  torch::Tensor log_prob = torch::empty({logits.size(0), logits.size(1)}), slope = torch::empty_like(logits);
  for (int64_t row = 0; row < rows; ++row)
    log_prob.mutable_data_ptr<float>()[row] =
        log_prob_of_row(logits.const_data_ptr<float>() + row * features,
                        x.const_data_ptr<float>() + row % x.size(0) * features, features,
                        slope.mutable_data_ptr<float>() + row * features);
  return {log_prob, slope};
}

class BernoulliLogProb : public torch::autograd::Function<BernoulliLogProb> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& logits,
                               const torch::Tensor& x) {
    if (logits.is_cpu() && logits.scalar_type() == torch::kFloat32) {
      auto [log_prob, slope] = on_cpu(logits.contiguous(), x.contiguous());
      context->save_for_backward({slope});
      return log_prob;
    }
    context->save_for_backward({x - torch::sigmoid(logits)});
    return (x * logits).sub_(torch::softplus(logits)).sum(-1);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradient) {
    return {context->get_saved_variables()[0] * gradient[0].unsqueeze(-1), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor bernoulli_log_prob(const torch::Tensor& logits, const torch::Tensor& x) {
  return BernoulliLogProb::apply(logits, x);
}

}  // namespace elbo
