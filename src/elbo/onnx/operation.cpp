#include "elbo/onnx/operation.h"

#include <fmt/ranges.h>
#include <torch/csrc/jit/ir/constants.h>

#include <optional>
#include <utility>

#include "elbo/base/error.h"

namespace elbo::onnx {
namespace {

namespace jit = torch::jit;

// A constant or a list of constants; none for what is computed.
std::optional<c10::IValue> literal_of(const jit::Value& value) {
  const jit::Node& node = *value.node();
  if (node.kind() != c10::prim::ListConstruct) return jit::toIValue(&value);
  c10::List<int64_t> list;
  for (const jit::Value* const element : node.inputs()) {
    const std::optional<c10::IValue> each = jit::toIValue(element);
    if (!each || !each->isInt()) return std::nullopt;
    list.push_back(each->toInt());
  }
  return list;
}

// A tensor that has been recorded has a type with all its parts.
template <typename T>
T known(const std::optional<T>& part) {
  if (!part) fail("LibTorch has recorded a tensor without its type or sizes");
  return *part;
}

// Of an operator that returns a list.
std::vector<int64_t> sizes_of_parts(const jit::Node& node, int64_t dimension) {
  std::vector<int64_t> sizes;
  for (const jit::Use& use : node.output(0)->uses())
    if (use.user->kind() == c10::prim::ListUnpack && sizes.empty())
      for (const jit::Value* const part : use.user->outputs())
        sizes.push_back(sizes_of(*part)[static_cast<size_t>(dimension)]);
  return sizes;
}

}  // namespace

torch::ScalarType element_type(const jit::Value& value) {
  return known(value.type()->expect<c10::TensorType>()->scalarType());
}

std::vector<int64_t> sizes_of(const jit::Value& value) {
  return known(value.type()->expect<c10::TensorType>()->sizes().concrete_sizes());
}

std::string constant_key(const torch::Tensor& tensor) {
  return fmt::format("{} {} {}", tensor.const_data_ptr(), fmt::join(tensor.sizes(), "×"),
                     fmt::join(tensor.strides(), ","));
}

void Operation::refuse(const std::string& why) const {
  usage_error("--format=onnx: {} {}; use --format=safetensors, or elbo encode and elbo decode",
              first_.kind().toQualString(), why);
}

c10::IValue Operation::literal(size_t i) const {
  const std::optional<c10::IValue> found = literal_of(value(i)), other = literal_of(*second_.input(i));
  if (!found || !other) refuse("has an argument that is computed from the rows");
  if (found->isTensor() || *found != *other) refuse("has an argument that depends on the number of rows");
  return *found;
}

bool Operation::is_none(size_t i) const {
  const std::optional<c10::IValue> found = literal_of(value(i));
  return found && found->isNone();
}

bool Operation::is_number(size_t i) const { return !draft_.names.contains(&value(i)); }

std::string Operation::tensor(size_t i) const {
  const auto found = draft_.names.find(&value(i));
  if (found == draft_.names.end()) refuse("has an argument that is not a tensor here");
  return found->second;
}

std::vector<std::string> Operation::tensors(size_t i) const {
  std::vector<std::string> names;
  for (const jit::Value* const element : value(i).node()->inputs()) {
    const auto found = draft_.names.find(element);
    if (found == draft_.names.end()) refuse("has a list of what are not tensors here");
    names.push_back(found->second);
  }
  return names;
}

bool Operation::is_filled_next() const {
  const jit::use_list& uses = first_.output(0)->uses();
  return uses.size() == 1 && uses.front().user->kind() == c10::Symbol::aten("fill_");
}

torch::ScalarType Operation::type_of(size_t i) const { return element_type(value(i)); }

int64_t Operation::dimensions_of(size_t i) const { return std::ssize(sizes_of(value(i))); }

std::string Operation::tensor_as(size_t i, torch::ScalarType type) {
  if (!is_number(i)) return cast(tensor(i), type_of(i), type);
  return scalar(number(i), type);
}

double Operation::number(size_t i) const {
  const c10::IValue found = literal(i);
  if (found.isBool()) return found.toBool() ? 1 : 0;
  return found.toScalar().toDouble();
}

int64_t Operation::integer(size_t i) const { return literal(i).toInt(); }

std::vector<int64_t> Operation::integers(size_t i) const {
  const c10::IValue found = literal(i);
  if (found.isInt()) return {found.toInt()};
  return found.toIntVector();
}

bool Operation::flag(size_t i) const { return literal(i).toBool(); }

int64_t Operation::dimension(size_t i, int64_t dimensions) const {
  const int64_t found = integer(i);
  return found < 0 ? found + dimensions : found;
}

torch::ScalarType Operation::result_type() const { return element_type(*first_.output(0)); }

std::vector<Size> Operation::result_sizes() const {
  const std::vector<int64_t> first = sizes_of(*first_.output(0)), second = sizes_of(*second_.output(0));
  if (first.size() != second.size()) refuse("has as many dimensions as there are rows");
  std::vector<Size> sizes;
  sizes.reserve(first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    if (first[i] == second[i]) {
      sizes.push_back({first[i]});
      continue;
    }
    const int64_t multiple = first[i] / draft_.first_rows;
    if (first[i] != multiple * draft_.first_rows || second[i] != multiple * draft_.second_rows)
      refuse("has a size that is not a multiple of the number of rows");
    sizes.push_back({multiple, true});
  }
  return sizes;
}

void Operation::result(const std::string& name) { draft_.names[first_.output(0)] = name; }

std::vector<int64_t> Operation::list_sizes(int64_t dimension) const {
  std::vector<int64_t> sizes = sizes_of_parts(first_, dimension);
  if (sizes.size() > 1 && sizes != sizes_of_parts(second_, dimension))
    refuse("has parts that depend on the number of rows");
  return sizes;
}

// A value that nothing else can see may be overwritten.
bool Operation::overwrites_new_memory() const {
  const std::string_view from = value(0).node()->kind().toUnqualString();
  const bool is_new = from == "empty_like" || from == "reciprocal" || from.ends_with('_');
  return is_new && value(0).uses().size() == 1;
}

void Operation::result_list(std::vector<std::string> names) {
  draft_.lists[first_.output(0)] = std::move(names);
}

std::vector<std::string> Operation::emit_list(const std::string& op, const std::vector<std::string>& inputs,
                                              const std::vector<Attribute>& attributes, size_t results) {
  std::vector<std::string> names;
  names.reserve(results);
  for (size_t i = 0; i < results; ++i) names.push_back(fmt::format("{}_{}", op, draft_.made++));
  draft_.graph.nodes.push_back({.op = op, .inputs = inputs, .outputs = names, .attributes = attributes});
  return names;
}

std::string Operation::emit(const std::string& op, const std::vector<std::string>& inputs,
                            const std::vector<Attribute>& attributes) {
  return emit_list(op, inputs, attributes, 1).front();
}

std::string Operation::constant(const torch::Tensor& values) {
  std::string name = fmt::format("constant_{}", draft_.made++);
  draft_.graph.constants.emplace_back(name, values);
  return name;
}

std::string Operation::integers_constant(const std::vector<int64_t>& values) {
  return constant(torch::tensor(values, torch::kInt64));
}

std::string Operation::scalar(double value, torch::ScalarType type) {
  return constant(torch::tensor(value, torch::kFloat64).to(type));
}

std::string Operation::cast(const std::string& name, torch::ScalarType from, torch::ScalarType to) {
  return from == to ? name : emit("Cast", {name}, {{"to", type_number(to)}});
}

std::string Operation::rows() {
  if (draft_.rows.empty())
    draft_.rows = emit("Slice", {emit("Shape", {draft_.graph.inputs.front().name}), integers_constant({0}),
                                 integers_constant({1})});
  return draft_.rows;
}

std::string Operation::shape(const std::vector<Size>& sizes) {
  std::vector<std::string> parts;
  std::vector<int64_t> numbers;
  bool depends = false;
  for (const Size& size : sizes) {
    numbers.push_back(size.number);
    const std::string number = integers_constant({size.number});
    parts.push_back(size.of_rows ? emit("Mul", {rows(), number}) : number);
    depends = depends || size.of_rows;
  }
  if (!depends) return integers_constant(numbers);
  return emit("Concat", parts, {{"axis", int64_t{0}}});
}

}  // namespace elbo::onnx
