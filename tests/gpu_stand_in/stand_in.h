// A GPU in host memory: the text of src/elbo/kernels/cuda, compiled for the CPU. Blocks run one after
// another, and the threads of a block take turns at barriers.
#pragma once
#include "elbo/kernels/gpu.h"

namespace elbo {

// While it exists, gpu:: and the operators compute on the stand-in.
class GpuStandIn {
 public:
  GpuStandIn();
  ~GpuStandIn();
  GpuStandIn(const GpuStandIn&) = delete;
  GpuStandIn& operator=(const GpuStandIn&) = delete;

  int64_t launches() const;  // kernels that were started since the beginning
};

}  // namespace elbo
