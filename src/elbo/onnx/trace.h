// A function of tensors as a graph of ONNX: LibTorch records the operators that it calls, and each becomes
// one or a few of ONNX's.
#pragma once
#include <torch/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "elbo/onnx/graph.h"

namespace elbo::onnx {

// (inputs) → outputs, all (n, …row) for any number of rows n.
using RowFunction = std::function<std::vector<torch::Tensor>(const std::vector<torch::Tensor>&)>;

// The graph of `function`, for any number of rows. It is recorded for two numbers of rows: sizes that differ
// are multiples of them. constants: tensors that the function uses, by their names; those without a name get
// one. They must not require gradients. outputs: names, as many as there may be. Throws a usage Error where
// an operator has no counterpart here, or what is computed depends on values of the rows.
Graph trace(const std::string& name, const RowFunction& function, const std::vector<Port>& inputs,
            const std::vector<std::string>& outputs,
            const std::vector<std::pair<std::string, torch::Tensor>>& constants);

}  // namespace elbo::onnx
