#include "elbo/onnx/trace.h"

#include <fmt/format.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/library.h>
#include <torch/utils.h>

#include <memory>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/silent_warnings.h"
#include "elbo/onnx/operation.h"

namespace elbo::onnx {
namespace {

namespace jit = torch::jit;

// Two numbers of rows without a common divisor.
constexpr int64_t first_rows = 3, second_rows = 5;

// A number that is read from a tensor would be recorded as a constant.
at::Scalar refuse_reading(const at::Tensor&) {
  usage_error(
      "--format=onnx: what this model computes depends on values of the rows; use --format=safetensors");
}

std::shared_ptr<jit::Graph> record(const RowFunction& function, const std::vector<Port>& inputs,
                                   int64_t rows) {
  jit::Stack examples;
  for (const Port& input : inputs) {
    std::vector<int64_t> sizes{rows};
    sizes.insert(sizes.end(), input.row.begin(), input.row.end());
    examples.emplace_back(torch::zeros(sizes, input.type));
  }
  const auto call = [&](const jit::Stack& stack) {
    std::vector<torch::Tensor> arguments;
    arguments.reserve(stack.size());
    for (const c10::IValue& value : stack) arguments.push_back(value.toTensor());
    jit::Stack results;
    for (torch::Tensor& result : function(arguments)) results.emplace_back(std::move(result));
    return results;
  };
  const torch::NoGradGuard no_grad;
  const SilentWarnings silent;  // of the kernel that is replaced
  torch::Library reading(torch::Library::IMPL, "aten", c10::DispatchKey::Tracer, __FILE__, __LINE__);
  reading.impl("_local_scalar_dense", refuse_reading);
  try {
    const auto no_name = [](const torch::Tensor&) { return std::string(); };
    std::shared_ptr<jit::Graph> graph = jit::tracer::trace(examples, call, no_name).first->graph;
    jit::EliminateDeadCode(graph);
    return graph;
  } catch (const c10::Error& error) {
    usage_error("--format=onnx: what this model computes cannot be recorded ({}); use --format=safetensors",
                error.what_without_backtrace());
  }
}

// A tensor that is not computed from the rows, under its name.
void name_constant(Draft& draft, const jit::Node& first, const jit::Node& second) {
  const std::optional<c10::IValue> value = jit::toIValue(first.output()),
                                   other = jit::toIValue(second.output());
  if (!value || !value->isTensor()) return;  // a number: those who need it look at it
  const torch::Tensor tensor = value->toTensor();
  if (!other || !other->isTensor() || !torch::equal(tensor, other->toTensor()))
    usage_error("--format=onnx: a tensor inside of the model depends on the number of rows; use safetensors");
  const auto [found, added] =
      draft.constants.try_emplace(constant_key(tensor), fmt::format("constant_{}", draft.made));
  if (added) ++draft.made;
  draft.names[first.output()] = found->second;
  draft.graph.constants.emplace_back(found->second, tensor);
}

// The tensors of a list that an operator returned.
void name_elements(Draft& draft, const jit::Node& unpack) {
  const std::vector<std::string>& names = draft.lists.at(unpack.input());
  for (size_t i = 0; i < names.size(); ++i) draft.names[unpack.output(i)] = names[i];
}

void convert_node(Draft& draft, const jit::Node& first, const jit::Node& second) {
  if (first.kind() == c10::prim::Constant) return name_constant(draft, first, second);
  if (first.kind() == c10::prim::ListConstruct) return;
  if (first.kind() == c10::prim::ListUnpack) return name_elements(draft, first);
  Operation operation(draft, first, second);
  if (first.kind() != second.kind() || first.inputs().size() != second.inputs().size())
    operation.refuse("is computed for some numbers of rows only");
  convert(first.kind().toQualString(), operation);
}

// Without those that nothing needs, and each once.
void keep_used_constants(Graph& graph) {
  std::set<std::string> used;
  for (const Node& node : graph.nodes) used.insert(node.inputs.begin(), node.inputs.end());
  std::erase_if(graph.constants, [&](const auto& constant) { return used.erase(constant.first) == 0; });
}

}  // namespace

Graph trace(const std::string& name, const RowFunction& function, const std::vector<Port>& inputs,
            const std::vector<std::string>& outputs,
            const std::vector<std::pair<std::string, torch::Tensor>>& constants) {
  const std::shared_ptr<jit::Graph> first = record(function, inputs, first_rows),
                                    second = record(function, inputs, second_rows);
  Draft draft{
      .graph = {.name = name, .inputs = inputs}, .first_rows = first_rows, .second_rows = second_rows};
  for (const auto& [constant, tensor] : constants) draft.constants[constant_key(tensor)] = constant;
  for (size_t i = 0; i < inputs.size(); ++i) draft.names[first->inputs()[i]] = inputs[i].name;
  auto other = second->nodes().begin();
  for (const jit::Node* const node : first->nodes()) {
    if (other == second->nodes().end())
      usage_error("--format=onnx: what this model computes depends on the number of rows; use safetensors");
    convert_node(draft, *node, **other);
    ++other;
  }
  for (size_t i = 0; i < first->outputs().size(); ++i) {
    const jit::Value* const value = first->outputs()[i];
    const std::vector<int64_t> sizes = sizes_of(*value);
    draft.graph.nodes.push_back({"Identity", {draft.names.at(value)}, {outputs[i]}});
    draft.graph.outputs.push_back({outputs[i], element_type(*value), {sizes.begin() + 1, sizes.end()}});
  }
  keep_used_constants(draft.graph);
  return draft.graph;
}

}  // namespace elbo::onnx
