// The formats of elbo export (docs/weights.md).
#pragma once
#include <string>

#include "elbo/run/saved_run.h"

namespace elbo {

// All parameters and buffers, by their names.
void export_safetensors(const SavedRun& run, const std::string& path);

// A network as a graph of ONNX's operators, for any number of rows. encoder: x → z, and logvar if there is
// one; decoder: z → x, the mean of p(x|z). Both in the units of the data set; conditional models have the
// input `label`, too. Throws a usage Error for models whose networks cannot be written.
enum class Network { encoder, decoder };
void export_onnx(const SavedRun& run, Network network, const std::string& path);

}  // namespace elbo
