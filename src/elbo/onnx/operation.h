// One recorded operator of LibTorch, while it becomes operators of ONNX.
#pragma once
#include <torch/csrc/jit/ir/ir.h>
#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/onnx/graph.h"

namespace elbo::onnx {

// A size: a number, or, if of_rows, that number times the number of rows.
struct Size {
  int64_t number = 0;
  bool of_rows = false;
};

// The graph that is being made, and the names of the recorded values in it.
struct Draft {
  Graph graph{};
  std::map<const torch::jit::Value*, std::string> names{};
  std::map<const torch::jit::Value*, std::vector<std::string>>
      lists{};                                     // of tensors that an operator returned
  std::map<std::string, std::string> constants{};  // by constant_key()
  std::string rows{};                              // the number of rows, (1) int64; "" until it is needed
  int64_t first_rows = 0, second_rows = 0;         // of the two recordings
  int64_t made = 0;                                // names
};

// Of a recorded tensor.
torch::ScalarType element_type(const torch::jit::Value& value);
std::vector<int64_t> sizes_of(const torch::jit::Value& value);

// Equal for equal parts of the same memory.
std::string constant_key(const torch::Tensor& tensor);

class Operation {
 public:
  // The same operator in both recordings.
  Operation(Draft& draft, const torch::jit::Node& first, const torch::jit::Node& second)
      : draft_(draft), first_(first), second_(second) {}

  // Argument i, in the order of LibTorch's schema.
  bool is_none(size_t i) const;
  bool is_number(size_t i) const;                           // and not a tensor
  std::string tensor(size_t i) const;                       // its name
  std::string tensor_as(size_t i, torch::ScalarType type);  // a tensor or a number
  std::vector<std::string> tensors(size_t i) const;         // of a list
  torch::ScalarType type_of(size_t i) const;                // of a tensor
  int64_t dimensions_of(size_t i) const;                    // of a tensor
  double number(size_t i) const;
  int64_t integer(size_t i) const;
  std::vector<int64_t> integers(size_t i) const;  // one integer is a list of one
  bool flag(size_t i) const;
  bool overwrites_new_memory() const;  // of an operator that writes its result to argument 0
  bool is_filled_next() const;         // the result is used once, by an operator that overwrites all of it
  size_t arguments() const { return first_.inputs().size(); }
  int64_t dimension(size_t i, int64_t dimensions) const;  // an integer, counted from the front

  torch::ScalarType result_type() const;
  std::vector<Size> result_sizes() const;
  void result(const std::string& name);
  // Of an operator that returns a list: the size of each tensor in a dimension, and their names. The size of
  // a single one may depend on the number of rows.
  std::vector<int64_t> list_sizes(int64_t dimension) const;
  void result_list(std::vector<std::string> names);

  // The name of what an operator of ONNX computes; its inputs are names, "" for one that is left out.
  std::string emit(const std::string& op, const std::vector<std::string>& inputs,
                   const std::vector<Attribute>& attributes = {});
  std::vector<std::string> emit_list(const std::string& op, const std::vector<std::string>& inputs,
                                     const std::vector<Attribute>& attributes, size_t results);
  std::string constant(const torch::Tensor& values);
  std::string integers_constant(const std::vector<int64_t>& values);  // (n) int64
  std::string scalar(double value, torch::ScalarType type);
  std::string cast(const std::string& name, torch::ScalarType from, torch::ScalarType to);
  std::string shape(const std::vector<Size>& sizes);  // (dimensions) int64
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  const torch::jit::Value& value(size_t i) const { return *first_.input(i); }
  c10::IValue literal(size_t i) const;  // throws where it depends on the number of rows
  std::string rows();

  Draft& draft_;
  const torch::jit::Node& first_;
  const torch::jit::Node& second_;
};

// Converts an operator of LibTorch, such as aten::relu. Throws a usage Error for those that are not in its
// table.
void convert(std::string_view op, Operation& operation);

}  // namespace elbo::onnx
