// The loop of a variational recurrent network over the steps of sequences (Chung et al. 2015, eq. 6, 7 and
// 9), as one function with its own derivative, by portable kernels: one layer is one product a step, and the
// gradient of a weight is one chain over all steps, then rows.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "elbo/nn/gates.h"
#include "elbo/nn/layers.h"

namespace elbo {

struct VrnnLayers {
  std::vector<Linear::Parameters> encoder;  // of (element, output of the state before), concatenated
  std::vector<Linear::Parameters> see_z;    // of z; an activation follows its last layer
  Linear::Parameters cell_input;            // of (element, seen z), concatenated
  Linear::Parameters cell_hidden;           // of the output of the state before
  Activation activation;
  CellKernel cell;
};

// The variables of each step along b sequences.
struct VrnnSteps {
  torch::Tensor before;     // (b, time, hidden), the outputs of the states before the steps
  torch::Tensor posterior;  // (b, time, 2·latent), the encoder's outputs
  torch::Tensor z;          // (b, time, latent)
  torch::Tensor seen_z;     // (b, time, features of z)
  torch::Tensor state;      // (b, state size), after the last step
};

// elements (b, time, features), epsilon (b, time, latent) of the posteriors' samples; undefined: their means.
// state (b, state size): the first. Only `steps` (1 … time) are computed, the others have zeros. All is
// float32. Not differentiable twice. Call it where has_sequence_kernel() (nn/gates.h) says so.
VrnnSteps vrnn_loop(const VrnnLayers& layers, const torch::Tensor& elements, const torch::Tensor& epsilon,
                    const torch::Tensor& state, int64_t steps);

}  // namespace elbo
