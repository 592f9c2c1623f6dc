// Finds LibTorch's operators whose bits depend on the device.
#pragma once
#include <set>
#include <string>
#include <vector>

namespace elbo {

// Watches the operators that the calling thread runs on numbers of floating point while the object exists.
// One at a time.
class OperatorAudit {
 public:
  explicit OperatorAudit(bool on_gpu = false);
  ~OperatorAudit();
  OperatorAudit(const OperatorAudit&) = delete;
  OperatorAudit& operator=(const OperatorAudit&) = delete;

  // Names of those that ran whose results may depend on the CPU, or on the GPU, ascending: they are neither
  // portable nor known to copy, compare, select or round each operation as IEEE 754 does.
  std::vector<std::string> device_dependent() const;

 private:
  bool on_gpu_;
  std::set<std::string> seen_;
  uint64_t callback_;
};

}  // namespace elbo
