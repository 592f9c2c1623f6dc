// Whether the bits of a run depend on the CPU, and what is said about it.
#pragma once
#include <string>

#include "elbo/data/dataset.h"
#include "elbo/models/model.h"
#include "elbo/run/config.h"
#include "elbo/run/run_plan.h"

namespace elbo {

// Maker and instructions of this CPU as LibTorch's kernels see them, such as "AuthenticAMD AVX512".
std::string cpu_name();

// Why the bits of a training run depend on the kind of CPU or GPU: a setting such as train.kernels=library,
// or the operators of LibTorch that the portable kernels do not replace. These are found by computing the
// objective of each phase on the first rows, where the model is, with its gradients, which are then dropped.
// "": they do not depend on it.
std::string device_dependence(const RunConfig& config, const Dataset& dataset, Model& model,
                              const RunPlan& plan);

// Where bits depend on the CPU: warns if ranks have different CPUs, or `before`, the CPU of the run's
// checkpoint ("": unknown), is another one. Returns rank 0's CPU, for checkpoints; "" where nothing depends
// on it. Collective.
std::string settle_cpu(Communicator& world, const RunPlan& plan, const std::string& before);

}  // namespace elbo
