#include "elbo/onnx/graph.h"

#include "elbo/base/error.h"
#include "elbo/base/protobuf.h"
#include "elbo/base/version.h"

namespace elbo::onnx {
namespace {

// Numbers of fields, and of kinds of attributes, in onnx.proto3 of ONNX.
constexpr int64_t ir_version = 8;
enum AttributeKind : int64_t { a_float = 1, an_integer = 2, a_text = 3, integers = 7 };

Message attribute_message(const Attribute& attribute) {
  Message message;
  message.add(1, attribute.name);
  if (const auto* number = std::get_if<float>(&attribute.value)) message.add(2, *number).add(20, a_float);
  if (const auto* number = std::get_if<int64_t>(&attribute.value))
    message.add(3, *number).add(20, an_integer);
  if (const auto* text = std::get_if<std::string>(&attribute.value)) message.add(4, *text).add(20, a_text);
  if (const auto* list = std::get_if<std::vector<int64_t>>(&attribute.value)) {
    for (const int64_t number : *list) message.add(8, number);
    message.add(20, integers);
  }
  return message;
}

Message node_message(const Node& node) {
  Message message;
  for (const std::string& input : node.inputs) message.add(1, input);
  for (const std::string& output : node.outputs) message.add(2, output);
  message.add(3, node.outputs.front()).add(4, node.op);
  for (const Attribute& attribute : node.attributes) message.add(5, attribute_message(attribute));
  return message;
}

Message tensor_message(const std::string& name, const torch::Tensor& tensor) {
  const torch::Tensor values = tensor.cpu().contiguous();
  Message message;
  for (const int64_t size : values.sizes()) message.add(1, size);
  message.add(2, type_number(values.scalar_type())).add(8, name);
  return message.add(9, std::string_view(static_cast<const char*>(values.const_data_ptr()), values.nbytes()));
}

Message port_message(const Port& port) {
  Message shape;
  shape.add(1, Message().add(2, "N"));
  for (const int64_t size : port.row) shape.add(1, Message().add(1, size));
  const Message tensor = Message().add(1, type_number(port.type)).add(2, shape);
  return Message().add(1, port.name).add(2, Message().add(1, tensor));
}

Message graph_message(const Graph& graph) {
  Message message;
  for (const Node& node : graph.nodes) message.add(1, node_message(node));
  message.add(2, graph.name);
  for (const auto& [name, tensor] : graph.constants) message.add(5, tensor_message(name, tensor));
  for (const Port& input : graph.inputs) message.add(11, port_message(input));
  for (const Port& output : graph.outputs) message.add(12, port_message(output));
  return message;
}

}  // namespace

int64_t type_number(torch::ScalarType type) {
  switch (type) {
    case torch::kFloat32:
      return 1;
    case torch::kUInt8:
      return 2;
    case torch::kInt32:
      return 6;
    case torch::kInt64:
      return 7;
    case torch::kBool:
      return 9;
    case torch::kFloat64:
      return 11;
    default:
      usage_error("--format=onnx: values of the type {} are not written; use --format=safetensors",
                  torch::toString(type));
  }
}

std::string serialize(const Graph& graph, const std::vector<std::pair<std::string, std::string>>& metadata) {
  Message model;
  model.add(1, ir_version).add(2, "elbo").add(3, version()).add(7, graph_message(graph));
  model.add(8, Message().add(1, "").add(2, opset));
  for (const auto& [key, value] : metadata) model.add(14, Message().add(1, key).add(2, value));
  constexpr size_t largest = (size_t{1} << 31U) - 1;
  if (model.bytes().size() > largest)
    usage_error(
        "--format=onnx: the model has more than 2 GiB, which a file of ONNX cannot hold; use safetensors");
  return model.bytes();
}

}  // namespace elbo::onnx
