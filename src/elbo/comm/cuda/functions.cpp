// The function table of this library (comm/cuda_library.h).
#include "elbo/comm/cuda/device.h"
#include "elbo/comm/cuda/nccl_communicator.h"
#include "elbo/comm/cuda_library.h"

extern "C" {
extern const elbo::CudaFunctions elbo_cuda_functions;
const elbo::CudaFunctions elbo_cuda_functions = {
    .make_nccl_world = elbo::make_nccl_world,
    .make_nccl_id = elbo::make_nccl_id,
    .device_memory = elbo::device_memory,
    .pci_bus_id = elbo::pci_bus_id,
};
}
