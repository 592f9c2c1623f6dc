#include "elbo/eval/probes.h"

#include <torch/nn/functional/loss.h>
#include <torch/optim/lbfgs.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

namespace elbo {

torch::Tensor linear_probe(const torch::Tensor& codes, const torch::Tensor& classes, int64_t count,
                           const torch::Tensor& asked) {
  const torch::AutoGradMode with_grad(true);
  constexpr double smallest_deviation = 1e-8;  // of a dimension that is the same for all rows
  constexpr int64_t most_iterations = 100;
  const torch::Tensor all = codes.to(torch::kFloat64);
  const torch::Tensor mean = all.mean(0);
  const torch::Tensor deviation = all.std(0, /*unbiased=*/false).clamp_min(smallest_deviation);
  const auto standardized = [&](const torch::Tensor& z) {
    return (z.to(torch::kFloat64) - mean) / deviation;
  };
  const torch::Tensor input = standardized(all);
  torch::Tensor weight = torch::zeros({all.size(1), count}, torch::kFloat64).requires_grad_();
  torch::Tensor bias = torch::zeros({count}, torch::kFloat64).requires_grad_();
  torch::optim::LBFGS optimizer({weight, bias}, torch::optim::LBFGSOptions(1)
                                                    .max_iter(most_iterations)
                                                    .max_eval(2 * most_iterations)
                                                    .tolerance_grad(1e-5)
                                                    .tolerance_change(1e-9)
                                                    .history_size(20)
                                                    .line_search_fn("strong_wolfe"));
  const auto rows = static_cast<double>(all.size(0));
  optimizer.step([&] {
    optimizer.zero_grad();
    const torch::Tensor loss =
        torch::nn::functional::cross_entropy(torch::addmm(bias, input, weight), classes) +
        weight.square().sum() / (2 * rows);
    loss.backward();
    return loss.detach();
  });
  return torch::addmm(bias.detach(), standardized(asked), weight.detach()).argmax(1);
}

torch::Tensor nearest_neighbours(const torch::Tensor& codes, const torch::Tensor& classes, int64_t count,
                                 const torch::Tensor& asked, int64_t k) {
  constexpr int64_t at_once = 128;  // limits the memory: distances of these rows to all codes
  const torch::Tensor known = codes.to(torch::kFloat64), squares = known.square().sum(1);
  const int64_t neighbours = std::min(k, known.size(0));
  torch::Tensor found = torch::empty({asked.size(0)}, torch::kInt64);
  for (int64_t first = 0; first < asked.size(0); first += at_once) {
    const torch::Tensor some = asked.slice(0, first, first + at_once).to(torch::kFloat64);
    const torch::Tensor distance = squares - 2 * some.mm(known.t());  // and the square of `some`
    const torch::Tensor near = std::get<1>(distance.topk(neighbours, 1, /*largest=*/false));
    const torch::Tensor votes = torch::one_hot(classes.index_select(0, near.flatten()), count)
                                    .view({some.size(0), neighbours, count});
    found.slice(0, first, first + at_once).copy_(votes.sum(1).argmax(1));
  }
  return found;
}

}  // namespace elbo
