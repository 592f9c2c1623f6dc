// All kernels for GPUs, as NVRTC compiles them, with --fmad=false: what is not an explicit fused multiply-add
// rounds each operation, as on the CPU. Tests compile the same text for the CPU (tests/gpu_stand_in).
#include "elbo/kernels/cuda/functions.cu"
#include "elbo/kernels/cuda/layers.cu"
#include "elbo/kernels/cuda/patches.cu"
#include "elbo/kernels/cuda/product.cu"
#include "elbo/kernels/cuda/sums.cu"
