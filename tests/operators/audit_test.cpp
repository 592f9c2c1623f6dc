#include "elbo/operators/audit.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "elbo/operators/operators.h"

namespace elbo {
namespace {

using Names = std::vector<std::string>;

TEST(OperatorAudit, NamesOperatorsWhoseBitsDependOnTheCpu) {
  const torch::Tensor x = torch::ones({2, 3}).requires_grad_();
  const OperatorAudit audit;
  x.mul(2).relu().sum().backward();
  torch::cat({x, x}).sigmoid();
  torch::ones({2, 3}, torch::kInt64).sum();
  EXPECT_EQ(audit.device_dependent(), (Names{"aten::sigmoid", "aten::sum.dim_IntList"}));
  use_portable_operators(true);
  x.sigmoid().pow(2).pow(1.7).sum().backward();
  const Names left = audit.device_dependent();
  use_portable_operators(false);
  EXPECT_EQ(left, (Names{"aten::pow.Tensor_Scalar"}));
}

TEST(OperatorAudit, SeesItsOwnThreadWhileItExists) {
  { const OperatorAudit earlier; }
  torch::ones({2}).exp();
  const OperatorAudit audit;
  EXPECT_EQ(audit.device_dependent(), Names{});
}

}  // namespace
}  // namespace elbo
