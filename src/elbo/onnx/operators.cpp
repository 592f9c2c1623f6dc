// The table of LibTorch's operators, and what they are in ONNX.
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "elbo/base/error.h"
#include "elbo/onnx/operation.h"

namespace elbo::onnx {
namespace {

using Attributes = std::vector<Attribute>;
using Strings = std::vector<std::string>;

// ---- Elementwise ----------------------------------------------------------------------------------------

// Both arguments as the type of the result; of comparisons as the wider of the two.
torch::ScalarType common_type(const Operation& at, bool compares) {
  if (!compares) return at.result_type();
  const bool both = !at.is_number(1);
  return both ? torch::promote_types(at.type_of(0), at.type_of(1)) : at.type_of(0);
}

void binary(Operation& at, const std::string& op, bool compares = false) {
  const torch::ScalarType type = common_type(at, compares);
  at.result(at.emit(op, {at.tensor_as(0, type), at.tensor_as(1, type)}));
}

// a ± alpha b; reversed: b ± alpha a.
void sum(Operation& at, const std::string& op, bool reversed = false) {
  const torch::ScalarType type = at.result_type();
  std::string a = at.tensor_as(0, type), b = at.tensor_as(1, type);
  if (reversed) std::swap(a, b);
  if (const double alpha = at.number(2); alpha != 1) b = at.emit("Mul", {b, at.scalar(alpha, type)});
  at.result(at.emit(op, {a, b}));
}

void clamp(Operation& at, size_t low, size_t high) {
  const torch::ScalarType type = at.result_type();
  const auto limit = [&](size_t i) {
    return i >= at.arguments() || at.is_none(i) ? std::string() : at.scalar(at.number(i), type);
  };
  const std::string lowest = low > 0 ? limit(low) : "", highest = high > 0 ? limit(high) : "";
  at.result(at.emit("Clip", {at.tensor_as(0, type), lowest, highest}));
}

void not_equal(Operation& at) {
  const torch::ScalarType type = common_type(at, true);
  at.result(at.emit("Not", {at.emit("Equal", {at.tensor_as(0, type), at.tensor_as(1, type)})}));
}

void where(Operation& at) {
  const torch::ScalarType type = at.result_type();
  at.result(at.emit("Where", {at.tensor(0), at.tensor_as(1, type), at.tensor_as(2, type)}));
}

void masked_fill(Operation& at) {
  const torch::ScalarType type = at.result_type();
  at.result(at.emit("Where", {at.tensor(1), at.tensor_as(2, type), at.tensor_as(0, type)}));
}

void cast(Operation& at) { at.result(at.cast(at.tensor(0), at.type_of(0), at.result_type())); }
void identity(Operation& at) { at.result(at.tensor(0)); }

void square(Operation& at) { at.result(at.emit("Mul", {at.tensor(0), at.tensor(0)})); }
void rsqrt(Operation& at) { at.result(at.emit("Reciprocal", {at.emit("Sqrt", {at.tensor(0)})})); }
void log1p(Operation& at) {
  at.result(at.emit("Log", {at.emit("Add", {at.tensor(0), at.scalar(1, at.result_type())})}));
}
void expm1(Operation& at) {
  at.result(at.emit("Sub", {at.emit("Exp", {at.tensor(0)}), at.scalar(1, at.result_type())}));
}
void silu(Operation& at) { at.result(at.emit("Mul", {at.tensor(0), at.emit("Sigmoid", {at.tensor(0)})})); }
void log_sigmoid(Operation& at) {
  at.result(at.emit("Neg", {at.emit("Softplus", {at.emit("Neg", {at.tensor(0)})})}));
}
void softplus(Operation& at) {
  if (at.number(1) != 1) at.refuse("has another beta than 1");
  at.result(at.emit("Softplus", {at.tensor(0)}));
}
void leaky_relu(Operation& at) {
  at.result(at.emit("LeakyRelu", {at.tensor(0)}, {{"alpha", static_cast<float>(at.number(1))}}));
}
void elu(Operation& at) {
  at.result(at.emit("Elu", {at.tensor(0)}, {{"alpha", static_cast<float>(at.number(1))}}));
}
// x Φ(x).
void gelu(Operation& at) {
  const torch::ScalarType type = at.result_type();
  const std::string x = at.tensor(0);
  const std::string erf = at.emit("Erf", {at.emit("Mul", {x, at.scalar(std::sqrt(0.5), type)})});
  const std::string twice = at.emit("Mul", {x, at.emit("Add", {erf, at.scalar(1, type)})});
  at.result(at.emit("Mul", {twice, at.scalar(0.5, type)}));
}

// log(e^a + e^b), from the larger of the two.
void logaddexp(Operation& at) {
  const torch::ScalarType type = at.result_type();
  const std::string a = at.tensor_as(0, type), b = at.tensor_as(1, type), larger = at.emit("Max", {a, b});
  const auto relative = [&](const std::string& x) { return at.emit("Exp", {at.emit("Sub", {x, larger})}); };
  at.result(at.emit("Add", {larger, at.emit("Log", {at.emit("Add", {relative(a), relative(b)})})}));
}

// ---- Shapes ---------------------------------------------------------------------------------------------

// Whatever LibTorch calls it: the elements stay in their order.
void reshape(Operation& at) {
  std::vector<Size> sizes = at.result_sizes();
  const auto depending = std::ranges::count_if(sizes, &Size::of_rows);
  if (depending == 1)  // the size that follows from the others
    for (Size& size : sizes)
      if (size.of_rows) size = {-1, false};
  at.result(at.emit("Reshape", {at.tensor(0), at.shape(sizes)}));
}

void expand(Operation& at) { at.result(at.emit("Expand", {at.tensor(0), at.shape(at.result_sizes())})); }

void repeat(Operation& at) {
  const std::vector<int64_t> times = at.integers(1);
  if (std::ssize(times) != at.dimensions_of(0)) at.refuse("adds dimensions");
  at.result(at.emit("Tile", {at.tensor(0), at.integers_constant(times)}));
}

std::vector<int64_t> in_order(int64_t dimensions) {
  std::vector<int64_t> order(static_cast<size_t>(dimensions));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

void permuted(Operation& at, const std::vector<int64_t>& order) {
  at.result(at.emit("Transpose", {at.tensor(0)}, {{"perm", order}}));
}

void permute(Operation& at) {
  std::vector<int64_t> order = at.integers(1);
  for (int64_t& dimension : order)
    if (dimension < 0) dimension += std::ssize(order);
  permuted(at, order);
}

void transpose(Operation& at) {
  const int64_t dimensions = at.dimensions_of(0);
  std::vector<int64_t> order = in_order(dimensions);
  const auto a = static_cast<size_t>(at.dimension(1, dimensions)),
             b = static_cast<size_t>(at.dimension(2, dimensions));
  std::swap(order[a], order[b]);
  permuted(at, order);
}

void matrix_transpose(Operation& at) {
  permuted(at, at.dimensions_of(0) < 2 ? in_order(at.dimensions_of(0)) : std::vector<int64_t>{1, 0});
}

void movedim(Operation& at) {
  const int64_t dimensions = at.dimensions_of(0);
  const std::vector<int64_t> from = at.integers(1), to = at.integers(2);
  if (from.size() != 1) at.refuse("moves several dimensions");
  const auto front = [&](int64_t dimension) { return dimension < 0 ? dimension + dimensions : dimension; };
  std::vector<int64_t> order = in_order(dimensions);
  order.erase(order.begin() + front(from[0]));
  order.insert(order.begin() + front(to[0]), front(from[0]));
  permuted(at, order);
}

// [first, end) of a dimension.
std::string part(Operation& at, int64_t dimension, int64_t first, int64_t end, int64_t step = 1) {
  return at.emit("Slice", {at.tensor(0), at.integers_constant({first}), at.integers_constant({end}),
                           at.integers_constant({dimension}), at.integers_constant({step})});
}

void narrow(Operation& at) {
  const int64_t first = at.integer(2);
  at.result(part(at, at.dimension(1, at.dimensions_of(0)), first, first + at.integer(3)));
}

void slice(Operation& at) {
  const int64_t first = at.is_none(2) ? 0 : at.integer(2);
  const int64_t end = at.is_none(3) ? std::numeric_limits<int64_t>::max() : at.integer(3);
  at.result(part(at, at.dimension(1, at.dimensions_of(0)), first, end, at.integer(4)));
}

// Along one dimension, from the last element to the first.
void flip(Operation& at) {
  const std::vector<int64_t> dimensions = at.integers(1);
  if (dimensions.size() != 1) at.refuse("is along several dimensions");
  at.result(part(at, dimensions[0], -1, std::numeric_limits<int64_t>::min(), -1));
}

void select(Operation& at) {
  const int64_t dimension = at.dimension(1, at.dimensions_of(0));
  const std::string index = at.scalar(static_cast<double>(at.integer(2)), torch::kInt64);
  at.result(at.emit("Gather", {at.tensor(0), index}, {{"axis", dimension}}));
}

void split(Operation& at, size_t dimension_argument) {
  const int64_t dimension = at.dimension(dimension_argument, at.dimensions_of(0));
  const std::vector<int64_t> sizes = at.list_sizes(dimension);
  if (sizes.size() == 1) return at.result_list({at.tensor(0)});
  at.result_list(at.emit_list("Split", {at.tensor(0), at.integers_constant(sizes)}, {{"axis", dimension}},
                              sizes.size()));
}

void concatenate(Operation& at) {
  const auto dimensions = std::ssize(at.result_sizes());
  at.result(at.emit("Concat", at.tensors(0), {{"axis", at.dimension(1, dimensions)}}));
}

void stack(Operation& at) {
  const int64_t dimension = at.dimension(1, std::ssize(at.result_sizes()));
  Strings parts;
  for (const std::string& each : at.tensors(0))
    parts.push_back(at.emit("Unsqueeze", {each, at.integers_constant({dimension})}));
  at.result(at.emit("Concat", parts, {{"axis", dimension}}));
}

// A tensor of one value.
void filled(Operation& at, double value) {
  at.result(at.emit("Expand", {at.scalar(value, at.result_type()), at.shape(at.result_sizes())}));
}
void zeros(Operation& at) { filled(at, 0); }
void ones(Operation& at) { filled(at, 1); }
void full(Operation& at) { filled(at, at.number(1)); }

// What a kernel writes into memory without a name is not recorded.
void empty(Operation& at) {
  if (!at.is_filled_next()) at.refuse("is memory that is written by what is not an operator");
  zeros(at);
}

void linspace(Operation& at) {
  at.result(at.constant(torch::linspace(at.number(0), at.number(1), at.integer(2), at.result_type())));
}

// ---- Layers ---------------------------------------------------------------------------------------------

void linear(Operation& at) {
  const std::string bias = at.is_none(2) ? "" : at.tensor(2);
  if (at.dimensions_of(0) == 2) {
    Strings inputs{at.tensor(0), at.tensor(1)};
    if (!bias.empty()) inputs.push_back(bias);
    return at.result(at.emit("Gemm", inputs, {{"transB", int64_t{1}}}));
  }
  const std::string weight = at.emit("Transpose", {at.tensor(1)}, {{"perm", std::vector<int64_t>{1, 0}}});
  const std::string product = at.emit("MatMul", {at.tensor(0), weight});
  at.result(bias.empty() ? product : at.emit("Add", {product, bias}));
}

void addmm(Operation& at) {
  at.result(
      at.emit("Gemm", {at.tensor(1), at.tensor(2), at.tensor(0)},
              {{"beta", static_cast<float>(at.number(3))}, {"alpha", static_cast<float>(at.number(4))}}));
}

// input, weight, bias, stride, padding, dilation, transposed, output_padding, groups.
void convolution(Operation& at) {
  const std::vector<int64_t> padding = at.integers(4);
  std::vector<int64_t> both = padding;
  both.insert(both.end(), padding.begin(), padding.end());
  Attributes attributes{
      {"strides", at.integers(3)}, {"pads", both}, {"dilations", at.integers(5)}, {"group", at.integer(8)}};
  if (at.flag(6)) attributes.push_back({"output_padding", at.integers(7)});
  Strings inputs{at.tensor(0), at.tensor(1)};
  if (!at.is_none(2)) inputs.push_back(at.tensor(2));
  at.result(at.emit(at.flag(6) ? "ConvTranspose" : "Conv", inputs, attributes));
}

void embedding(Operation& at) {
  at.result(at.emit("Gather", {at.tensor(0), at.tensor(1)}, {{"axis", int64_t{0}}}));
}

void gather(Operation& at) {
  at.result(at.emit("GatherElements", {at.tensor(0), at.tensor(2)},
                    {{"axis", at.dimension(1, at.dimensions_of(0))}}));
}

void index_select(Operation& at) {
  at.result(
      at.emit("Gather", {at.tensor(0), at.tensor(2)}, {{"axis", at.dimension(1, at.dimensions_of(0))}}));
}

void one_hot(Operation& at) {
  const std::string depth = at.integers_constant({at.integer(1)}), values = at.integers_constant({0, 1});
  at.result(at.emit("OneHot", {at.tensor(0), depth, values}, {{"axis", int64_t{-1}}}));
}

// ---- Sums -----------------------------------------------------------------------------------------------

void softmax(Operation& at, const std::string& op) {
  at.result(at.emit(op, {at.tensor_as(0, at.result_type())}, {{"axis", at.integer(1)}}));
}

// tensor, dimensions, keepdim.
void sum_along(Operation& at) {
  if (at.arguments() < 3 || at.is_none(1)) at.refuse("is that of all elements");
  at.result(at.emit("ReduceSum", {at.tensor_as(0, at.result_type()), at.integers_constant(at.integers(1))},
                    {{"keepdims", int64_t{at.flag(2)}}}));
}

void reduce(Operation& at, const std::string& op) {
  if (at.arguments() < 3 || at.is_none(1)) at.refuse("is that of all elements");
  at.result(at.emit(op, {at.tensor_as(0, at.result_type())},
                    {{"axes", at.integers(1)}, {"keepdims", int64_t{at.flag(2)}}}));
}

void index_of(Operation& at, const std::string& op) {
  if (at.is_none(1)) at.refuse("is that of all elements");
  at.result(at.emit(op, {at.tensor(0)}, {{"axis", at.integer(1)}, {"keepdims", int64_t{at.flag(2)}}}));
}

void cumulative_sum(Operation& at) {
  const std::string dimension = at.scalar(static_cast<double>(at.integer(1)), torch::kInt64);
  at.result(at.emit("CumSum", {at.tensor_as(0, at.result_type()), dimension}));
}

// ---- The table ------------------------------------------------------------------------------------------

using Conversion = void (*)(Operation&);

// Operators of one tensor that ONNX has under another name.
const std::map<std::string_view, std::string>& equal_operators() {
  static const std::map<std::string_view, std::string> names{{"relu", "Relu"},
                                                             {"tanh", "Tanh"},
                                                             {"sigmoid", "Sigmoid"},
                                                             {"exp", "Exp"},
                                                             {"log", "Log"},
                                                             {"sqrt", "Sqrt"},
                                                             {"abs", "Abs"},
                                                             {"neg", "Neg"},
                                                             {"floor", "Floor"},
                                                             {"erf", "Erf"},
                                                             {"sign", "Sign"},
                                                             {"round", "Round"},
                                                             {"reciprocal", "Reciprocal"},
                                                             {"isnan", "IsNaN"},
                                                             {"logical_not", "Not"},
                                                             {"bitwise_not", "Not"}};
  return names;
}

const std::map<std::string_view, Conversion>& conversions() {
  static const std::map<std::string_view, Conversion> table{
      {"add", [](Operation& at) { sum(at, "Add"); }},
      {"sub", [](Operation& at) { sum(at, "Sub"); }},
      {"rsub", [](Operation& at) { sum(at, "Sub", true); }},
      {"mul", [](Operation& at) { binary(at, "Mul"); }},
      {"div", [](Operation& at) { binary(at, "Div"); }},
      {"pow", [](Operation& at) { binary(at, "Pow"); }},
      {"maximum", [](Operation& at) { binary(at, "Max"); }},
      {"minimum", [](Operation& at) { binary(at, "Min"); }},
      {"eq", [](Operation& at) { binary(at, "Equal", true); }},
      {"gt", [](Operation& at) { binary(at, "Greater", true); }},
      {"ge", [](Operation& at) { binary(at, "GreaterOrEqual", true); }},
      {"lt", [](Operation& at) { binary(at, "Less", true); }},
      {"le", [](Operation& at) { binary(at, "LessOrEqual", true); }},
      {"ne", not_equal},
      {"where", where},
      {"masked_fill", masked_fill},
      {"clamp", [](Operation& at) { clamp(at, 1, 2); }},
      {"clamp_min", [](Operation& at) { clamp(at, 1, 0); }},
      {"clamp_max", [](Operation& at) { clamp(at, 0, 1); }},
      {"square", square},
      {"rsqrt", rsqrt},
      {"log1p", log1p},
      {"expm1", expm1},
      {"silu", silu},
      {"log_sigmoid", log_sigmoid},
      {"softplus", softplus},
      {"leaky_relu", leaky_relu},
      {"elu", elu},
      {"gelu", gelu},
      {"to", cast},
      {"type_as", cast},
      {"contiguous", identity},
      {"clone", identity},
      {"detach", identity},
      {"alias", identity},
      {"view", reshape},
      {"reshape", reshape},
      {"view_as", reshape},
      {"reshape_as", reshape},
      {"flatten", reshape},
      {"unflatten", reshape},
      {"squeeze", reshape},
      {"unsqueeze", reshape},
      {"expand", expand},
      {"expand_as", expand},
      {"repeat", repeat},
      {"permute", permute},
      {"transpose", transpose},
      {"t", matrix_transpose},
      {"movedim", movedim},
      {"narrow", narrow},
      {"slice", slice},
      {"select", select},
      {"chunk", [](Operation& at) { split(at, 2); }},
      {"split", [](Operation& at) { split(at, 2); }},
      {"split_with_sizes", [](Operation& at) { split(at, 2); }},
      {"cat", concatenate},
      {"stack", stack},
      {"flip", flip},
      {"empty_like", empty},
      {"fill", full},
      {"zeros", zeros},
      {"zeros_like", zeros},
      {"ones", ones},
      {"ones_like", ones},
      {"full", full},
      {"full_like", full},
      {"linspace", linspace},
      {"linear", linear},
      {"matmul",
       [](Operation& at) {
         at.result(at.emit("MatMul", {at.tensor(0), at.tensor(1)}));
       }},
      {"mm",
       [](Operation& at) {
         at.result(at.emit("MatMul", {at.tensor(0), at.tensor(1)}));
       }},
      {"bmm",
       [](Operation& at) {
         at.result(at.emit("MatMul", {at.tensor(0), at.tensor(1)}));
       }},
      {"addmm", addmm},
      {"convolution", convolution},
      {"_convolution", convolution},
      {"embedding", embedding},
      {"gather", gather},
      {"index_select", index_select},
      {"one_hot", one_hot},
      {"softmax", [](Operation& at) { softmax(at, "Softmax"); }},
      {"log_softmax", [](Operation& at) { softmax(at, "LogSoftmax"); }},
      {"sum", sum_along},
      {"mean", [](Operation& at) { reduce(at, "ReduceMean"); }},
      {"logsumexp", [](Operation& at) { reduce(at, "ReduceLogSumExp"); }},
      {"argmax", [](Operation& at) { index_of(at, "ArgMax"); }},
      {"argmin", [](Operation& at) { index_of(at, "ArgMin"); }},
      {"logaddexp", logaddexp},
      {"cumsum", cumulative_sum},
  };
  return table;
}

}  // namespace

void convert(std::string_view op, Operation& operation) {
  constexpr std::string_view prefix = "aten::";
  if (!op.starts_with(prefix)) operation.refuse("has no counterpart in ONNX");
  op.remove_prefix(prefix.size());
  if (op.ends_with('_')) {
    if (!operation.overwrites_new_memory()) operation.refuse("changes a tensor that others may see");
    op.remove_suffix(1);
  }
  if (const auto equal = equal_operators().find(op); equal != equal_operators().end())
    return operation.result(operation.emit(equal->second, {operation.tensor(0)}));
  const auto found = conversions().find(op);
  if (found == conversions().end()) operation.refuse("has no counterpart in ONNX yet");
  found->second(operation);
}

}  // namespace elbo::onnx
