#include <torch/types.h>

#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

// A probability for each level, without an order of levels (van den Oord et al. 2016, section 2.1). x is
// rounded to the nearest level.
class Categorical : public Likelihood {
 public:
  explicit Categorical(int64_t levels) : levels_(levels) {}
  int64_t param_channels() const override { return levels_; }
  torch::Tensor mean(const torch::Tensor& decoded) const override {
    const torch::Tensor values = torch::linspace(0.0, 1.0, levels_, decoded.options());
    return torch::softmax(decoded, param_dim).movedim(param_dim, -1).matmul(values);
  }
  torch::Tensor mode(const torch::Tensor& decoded) const override {
    return value_of(decoded.argmax(param_dim), decoded);
  }
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise,
                       double temperature) const override {
    return value_of(sample_categorical(decoded / temperature, param_dim, noise), decoded);
  }
  bool discrete() const override { return true; }
  int64_t levels() const override { return levels_; }

 private:
  torch::Tensor value_of(const torch::Tensor& level, const torch::Tensor& decoded) const {
    return level.to(decoded.scalar_type()) / static_cast<double>(levels_ - 1);
  }
  torch::Tensor log_prob_of_elements(const torch::Tensor& decoded, const torch::Tensor& x) const override {
    const torch::Tensor level = (x * static_cast<double>(levels_ - 1)).round().to(torch::kInt64);
    const torch::Tensor index = level.unsqueeze(1).expand_as(decoded.narrow(batched_param_dim, 0, 1));
    const torch::Tensor chosen = decoded.gather(batched_param_dim, index).squeeze(batched_param_dim);
    return chosen - decoded.logsumexp(batched_param_dim);
  }

  int64_t levels_;
};

}  // namespace

std::shared_ptr<Likelihood> categorical_likelihood(const LikelihoodOptions& options, const LikelihoodRows&) {
  return std::make_shared<Categorical>(options.levels);
}

}  // namespace elbo
