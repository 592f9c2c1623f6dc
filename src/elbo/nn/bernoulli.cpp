#include "elbo/nn/bernoulli.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include "elbo/base/vectorize.h"
#include "elbo/kernels/bernoulli_element.h"
#include "elbo/nn/kernels.h"
#include "elbo/operators/compute.h"

namespace elbo {
namespace {

// One row: returns its log likelihood and writes the derivative x - σ(l).
ELBO_VECTORIZE float log_prob_of_row(const float* logits, const float* x, int64_t features, float* slope) {
  float sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= features; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) {
      const BernoulliElement here = bernoulli_element(logits[i + lane], x[i + lane]);
      sums[lane] += here.log_prob;
      slope[i + lane] = here.slope;
    }
  for (int lane = 0; i < features; ++i, ++lane) {
    const BernoulliElement here = bernoulli_element(logits[i], x[i]);
    sums[lane] += here.log_prob;
    slope[i] = here.slope;
  }
  double sum = 0;
  for (const float lane : sums) sum += static_cast<double>(lane);
  return static_cast<float>(sum);
}

// logits (k, b, features), x (b, features), contiguous → log likelihood (k, b), slope (k, b, features).
std::pair<torch::Tensor, torch::Tensor> in_one_pass(const torch::Tensor& logits, const torch::Tensor& x) {
  const int64_t rows = logits.size(0) * logits.size(1), features = logits.size(2);
  torch::Tensor log_prob = torch::empty({logits.size(0), logits.size(1)}, logits.options()),
                slope = torch::empty_like(logits);
  if (on_gpu(logits)) {
    gpu::bernoulli_rows(logits.const_data_ptr<float>(), x.const_data_ptr<float>(), rows, x.size(0), features,
                        log_prob.mutable_data_ptr<float>(), slope.mutable_data_ptr<float>());
    return {log_prob, slope};
  }
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
    if ((logits.is_cpu() && logits.scalar_type() == torch::kFloat32) || is_for_portable_kernels(logits)) {
      auto [log_prob, slope] = in_one_pass(logits.contiguous(), x.contiguous());
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
