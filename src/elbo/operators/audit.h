// Finds LibTorch's operators whose bits depend on the CPU.
#pragma once
#include <set>
#include <string>
#include <vector>

namespace elbo {

// Watches the operators that the calling thread runs on numbers of floating point while the object exists.
// One at a time for a thread.
class OperatorAudit {
 public:
  OperatorAudit();
  ~OperatorAudit();
  OperatorAudit(const OperatorAudit&) = delete;
  OperatorAudit& operator=(const OperatorAudit&) = delete;

  // Names of those that ran whose results may depend on the CPU, ascending: they are neither portable nor
  // known to copy, compare, select or round each operation as IEEE 754 does.
  std::vector<std::string> cpu_dependent() const;

 private:
  std::set<std::string> seen_;
  uint64_t callback_;
};

}  // namespace elbo
