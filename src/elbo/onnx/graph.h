// A graph of ONNX's operators, and the file that holds it (https://onnx.ai/onnx/repo-docs/IR.html).
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace elbo::onnx {

struct Attribute {
  std::string name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>> value;
};

struct Node {
  std::string op;  // of ONNX's operators, version `opset`
  std::vector<std::string> inputs, outputs;
  std::vector<Attribute> attributes{};
};

// An input or output: a tensor with the first dimension N, the number of rows, which is free.
struct Port {
  std::string name;
  torch::ScalarType type = torch::kFloat32;
  std::vector<int64_t> row{};  // the other dimensions
};

struct Graph {
  std::string name;
  std::vector<Port> inputs{}, outputs{};
  std::vector<std::pair<std::string, torch::Tensor>> constants{};  // parameters of the model, and others
  std::vector<Node> nodes{};                                       // in the order of their computation
};

constexpr int64_t opset = 17;

// The number of a type in ONNX. Throws a usage Error for types that no graph here needs.
int64_t type_number(torch::ScalarType type);

// A ModelProto. metadata: texts by key. Throws a usage Error for a graph that does not fit a message, 2 GiB.
std::string serialize(const Graph& graph, const std::vector<std::pair<std::string, std::string>>& metadata);

}  // namespace elbo::onnx
