#include "elbo/nn/bernoulli.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include "elbo/kernels/functions.h"
#include "elbo/nn/kernels.h"
#include "elbo/operators/compute.h"

namespace elbo {
namespace {

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
        bernoulli_row(logits.const_data_ptr<float>() + row * features,
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
