#include "elbo/onnx/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "elbo/onnx/trace.h"

namespace elbo::onnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using torch::Tensor;

std::vector<std::string> operators_of(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.op);
  return names;
}

Graph trace_rows(const std::function<Tensor(const Tensor&)>& function,
                 const std::vector<std::pair<std::string, Tensor>>& constants = {}) {
  return trace(
      "graph", [&](const std::vector<Tensor>& inputs) { return std::vector{function(inputs[0])}; },
      {{"x", torch::kFloat32, {4}}}, {"y"}, constants);
}

void expect_refused(const std::function<Tensor(const Tensor&)>& function, const std::string& why) {
  try {
    trace_rows(function);
    FAIL() << why;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(why));
  }
}

TEST(Trace, ConstantsHaveTheNamesOfParameters) {
  const Tensor weight = torch::ones({3, 4}), bias = torch::zeros({3}), unused = torch::zeros({2});
  const Graph graph = trace_rows([&](const Tensor& x) { return torch::linear(x, weight, bias).relu(); },
                                 {{"w", weight}, {"b", bias}, {"other", unused}});
  EXPECT_THAT(operators_of(graph), ElementsAre("Gemm", "Relu", "Identity"));
  EXPECT_THAT(graph.nodes[0].inputs, ElementsAre("x", "w", "b"));
  EXPECT_THAT(graph.constants, ElementsAre(Pair("w", testing::_), Pair("b", testing::_)));
  ASSERT_EQ(graph.outputs.size(), 1);
  EXPECT_THAT(graph.outputs[0].row, ElementsAre(3));
}

TEST(Trace, TheNumberOfRowsIsFree) {
  const Graph graph = trace_rows([](const Tensor& x) {
    return x.reshape({x.size(0) * 2, 2}).view({x.size(0), 4});
  });
  ASSERT_THAT(operators_of(graph), ElementsAre("Reshape", "Reshape", "Identity"));
  for (const auto& [name, shape] : graph.constants) EXPECT_EQ(shape[0].item<int64_t>(), -1) << name;
  const Graph repeated = trace_rows([](const Tensor& x) { return torch::zeros({x.size(0), 2}); });
  EXPECT_THAT(operators_of(repeated), ElementsAre("Shape", "Slice", "Mul", "Concat", "Expand", "Identity"));
}

TEST(Trace, WhatAGraphCannotSayIsRefused) {
  expect_refused([](const Tensor& x) { return x * x.max().item<float>(); }, "depends on values of the rows");
  expect_refused([](const Tensor& x) { return torch::digamma(x); }, "aten::digamma has no counterpart");
  expect_refused([](const Tensor& x) { return x.size(0) > 4 ? x.exp() : x.relu(); },
                 "is computed for some numbers of rows only");
  expect_refused([](const Tensor& x) { return x * static_cast<double>(x.size(0)); },
                 "depends on the number of rows");
  expect_refused(
      [](const Tensor& x) {
        Tensor y = torch::empty_like(x);
        y.data_ptr<float>()[0] = x.const_data_ptr<float>()[0];
        return y;
      },
      "written by what is not an operator");
  expect_refused(
      [](const Tensor& x) {
        Tensor y = x.exp();
        y.select(1, 0).fill_(0);
        return y;
      },
      "changes a tensor that others may see");
}

}  // namespace
}  // namespace elbo::onnx
