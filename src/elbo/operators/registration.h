// The replacements by subject, for operators.cpp.
#pragma once
#include <torch/library.h>

#include <set>
#include <string>

namespace elbo {

// Kernels for CPUs or for GPUs, which replace LibTorch's as long as the table exists.
class OperatorTable {
 public:
  explicit OperatorTable(c10::DispatchKey key)
      : aten_(torch::Library::IMPL, "aten", key, __FILE__, __LINE__) {}

  // name: of the operator and its overload, such as "sum.dim_IntList".
  template <typename Function>
  void add(const std::string& name, Function* function) {
    aten_.impl(name.c_str(), function);
    names_.insert("aten::" + name);
  }
  bool has(const std::string& name) const { return names_.contains(name); }

 private:
  torch::Library aten_;
  std::set<std::string> names_;
};

void add_functions(OperatorTable& table);    // exp, log, tanh, …
void add_activations(OperatorTable& table);  // gelu, softplus, … and derivatives
void add_arithmetic(OperatorTable& table);   // operators that LibTorch fuses where the CPU can
void add_cpu_arithmetic(OperatorTable& table);
void add_gpu_arithmetic(OperatorTable& table);  // and those that its GPU kernels round in other ways
void add_reductions(OperatorTable& table);      // sum, var, …
void add_softmax(OperatorTable& table);
void add_products(OperatorTable& table);
void add_convolutions(OperatorTable& table);
void add_embedding(OperatorTable& table);
void add_draws(OperatorTable& table);  // normal

}  // namespace elbo
