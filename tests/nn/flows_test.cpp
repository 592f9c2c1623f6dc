#include "elbo/nn/flows.h"

#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <numbers>

#include "elbo/nn/made.h"

namespace elbo {
namespace {

constexpr int64_t flow_rows = 3;

// In float64, with parameters far from their initial values, so that the flow is not nearly linear.
struct FlowInDoublePrecision {
  std::shared_ptr<Flow> flow;
  torch::Tensor context;  // (flow_rows, context)

  FlowInDoublePrecision(const std::string& name, int64_t latent, int64_t flows, RandomGenerator& noise) {
    flow = make_flow(name, {latent, flows, {7, 6}, find_activation("tanh")}, noise);
    flow->to(torch::kFloat64);
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& parameter : flow->parameters()) parameter.mul_(3);
    context = noise.normal({flow_rows, flow->context_size()}).to(torch::kFloat64) * 1.5;
  }
};

class Flows : public testing::TestWithParam<std::string> {};

TEST_P(Flows, TheLogDeterminantIsThatOfTheNumericJacobian) {
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(1));
  constexpr int64_t latent = 4;
  const FlowInDoublePrecision tested(GetParam(), latent, 3, noise);
  const torch::Tensor z = noise.normal({flow_rows, latent}).to(torch::kFloat64);
  torch::Tensor jacobian = torch::zeros({flow_rows, latent, latent}, torch::kFloat64);
  constexpr double step = 1e-5;
  for (int64_t i = 0; i < latent; ++i) {
    torch::Tensor shift = torch::zeros({1, latent}, torch::kFloat64);
    shift.select(1, i).fill_(step);
    const torch::Tensor above = tested.flow->forward(z + shift, tested.context).z;
    const torch::Tensor below = tested.flow->forward(z - shift, tested.context).z;
    jacobian.select(2, i).copy_((above - below) / (2 * step));
  }
  const torch::Tensor expected = jacobian.det().abs().log();
  EXPECT_GT(expected.abs().min().item<double>(), 0.05) << "the case is too plain";
  const torch::Tensor found = tested.flow->forward(z, tested.context).log_det;
  EXPECT_TRUE(torch::allclose(found, expected, 0, 1e-6)) << found << expected;
}

// The flow maps a grid of squares to quadrilaterals. Their areas, computed from their corners, times the
// density at their centres sum to one.
TEST_P(Flows, TheDensityOfWhatANormalBecomesIntegratesToOne) {
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(2));
  const FlowInDoublePrecision tested(GetParam(), 2, 1, noise);
  constexpr int64_t n = 400;
  const auto mapped = [&](const torch::Tensor& line) {
    const std::vector<torch::Tensor> grid = torch::meshgrid({line, line}, "ij");
    const torch::Tensor z = torch::stack({grid[0].flatten(), grid[1].flatten()}, 1);
    return std::pair(z, tested.flow->forward(z, tested.context.narrow(0, 0, 1).expand({z.size(0), -1})));
  };
  const torch::Tensor line = torch::linspace(-7, 7, n + 1, torch::kFloat64);
  const torch::Tensor corner = mapped(line).second.z.view({n + 1, n + 1, 2});
  const auto cut = [&](int64_t i, int64_t j) { return corner.narrow(0, i, n).narrow(1, j, n); };
  const torch::Tensor one = cut(1, 1) - cut(0, 0), other = cut(0, 1) - cut(1, 0);
  const torch::Tensor area =
      0.5 * (one.select(2, 0) * other.select(2, 1) - one.select(2, 1) * other.select(2, 0)).abs();
  const auto [z, flowed] = mapped(line.narrow(0, 0, n) + 7.0 / n);
  const torch::Tensor log_q = -0.5 * z.square().sum(1) - std::log(2 * std::numbers::pi) - flowed.log_det;
  EXPECT_NEAR((log_q.exp().view({n, n}) * area).sum().item<double>(), 1, 1e-3);
}

// If the flow mapped two points on a line through z to one point, a derivative between them would be 0.
TEST_P(Flows, NoVolumeIsLost) {
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(3));
  for (int round = 0; round < 50; ++round) {
    const FlowInDoublePrecision tested(GetParam(), 3, 4, noise);
    const torch::Tensor z = noise.normal({flow_rows, 3}).to(torch::kFloat64) * 10;
    EXPECT_TRUE(tested.flow->forward(z, tested.context).log_det.isfinite().all().item<bool>());
  }
}

INSTANTIATE_TEST_SUITE_P(All, Flows, testing::ValuesIn(flow_names()),
                         [](const auto& tested) { return tested.param; });

TEST(Planar, IsTheIdentityWhereTheContextIsZero) {
  RandomGenerator noise(Key(4));
  const auto flow = make_flow("planar", {3, 2, {}, nullptr}, noise);
  const torch::Tensor z = noise.normal({flow_rows, 3});
  const FlowOutput flowed = flow->forward(z, torch::zeros({flow_rows, flow->context_size()}));
  EXPECT_TRUE(torch::equal(flowed.z, z));
  EXPECT_TRUE(torch::allclose(flowed.log_det, torch::zeros({flow_rows}), 0, 1e-6));
}

// Changes one input of a Made at a time: only later outputs change.
TEST(Made, AnOutputDependsOnTheInputsBeforeItAndOnTheContext) {
  const torch::NoGradGuard no_grad;
  for (const std::vector<int64_t>& hidden : {std::vector<int64_t>{}, {20}, {17, 23}}) {
    RandomGenerator noise(Key(5));
    constexpr int64_t size = 5, param_channels = 2, context_size = 3;
    Made made(size, context_size, param_channels, hidden, find_activation("tanh"), noise);
    const torch::Tensor z = noise.normal({1, size}), context = noise.normal({1, context_size});
    const torch::Tensor before = made.forward(z, context);
    EXPECT_EQ(before.sizes(), (std::vector<int64_t>{1, param_channels, size}));
    for (int64_t moved = 0; moved < size; ++moved) {
      torch::Tensor other = z.clone();
      other.select(1, moved) += 1;
      const torch::Tensor change = (made.forward(other, context) - before).abs().amax({0, 1});
      for (int64_t output = 0; output < size; ++output)
        EXPECT_EQ(change[output].item<double>() > 0, moved < output) << moved << " to " << output;
    }
    for (int64_t moved = 0; moved < context_size; ++moved) {
      torch::Tensor other = context.clone();
      other.select(1, moved) += 1;
      EXPECT_GT((made.forward(z, other) - before).abs().min().item<double>(), 0);
    }
  }
}

}  // namespace
}  // namespace elbo
