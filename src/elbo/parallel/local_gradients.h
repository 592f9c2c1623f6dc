// Gradient accumulation inside a rank: gradients, statistics and scalars of its microbatches, summed over its
// workers.
//
// A hook takes each gradient as soon as the backward pass has computed it; those of large weights are in the
// sums already (kernels/gradient_sums.h). During a worker's last microbatch,
// its sums of the buckets (buckets.h) become complete one after another, while the pass continues.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/kernels/gradient_sums.h"
#include "elbo/parallel/buckets.h"
#include "elbo/parallel/flat_parameters.h"
#include "elbo/parallel/tree_reducer.h"
#include "elbo/parallel/tree_sum.h"
#include "elbo/parallel/workers.h"

namespace elbo {

// The results of a microbatch besides its gradients, summed over its samples. All microbatches of a phase
// report the same names and the same size of statistics.
struct MicrobatchReport {
  std::vector<std::string> names;  // of the scalars
  torch::Tensor scalars;           // (names) float64, on the device
  torch::Tensor statistics;        // (s); may be undefined
};

class LocalGradients {
 public:
  // Runs the forward pass and one backward pass of a microbatch on the worker's replica.
  using Task = std::function<MicrobatchReport(int worker, int64_t microbatch)>;

  // local_microbatches: this rank's partition of 0 … microbatches-1. phases: the buckets of each phase.
  // replicas: the parameters of each worker's model, in order of registration. Hooks clear their gradients:
  // after a backward pass within compute() they are undefined.
  LocalGradients(Workers& workers, const FlatParameters& flat_parameters,
                 std::vector<std::vector<torch::Tensor>> replicas, const std::vector<Buckets>& phases,
                 IndexRange local_microbatches, int64_t microbatches);
  ~LocalGradients();
  LocalGradients(const LocalGradients&) = delete;
  LocalGradients& operator=(const LocalGradients&) = delete;

  // Runs the task for each microbatch of this rank, in parallel on the workers. Worker 0 calls advance()
  // after each of its gradients. After its last microbatch it keeps calling advance(), until that returns
  // true or all other workers are done. advance() may call complete() and sums(). Throws what a task or
  // advance() throws.
  void compute(size_t phase, const Task& task, const std::function<bool()>& advance);

  // Whether this rank's sums of a bucket other than the last are complete.
  bool complete(size_t phase, size_t bucket) const;
  // Completes the last bucket, on all workers. Call once after compute().
  void reduce_last_bucket(size_t phase);
  // The sums of `elements`, in complete buckets, for each maximal subtree of the rank's microbatches. The
  // caller may overwrite these views; they are valid until the next compute().
  std::vector<PartialSum> sums(size_t phase, IndexRange elements) const;

  // The layout of the reports, from the rank's first microbatch; empty if the rank has none.
  struct ReportLayout {
    std::vector<std::string> names;  // of the scalars
    int64_t statistics = 0;          // elements
  };
  const ReportLayout& report_layout(size_t phase) const;
  // The scalars of each microbatch of the rank, from the last compute(). Copies them from the device once, so
  // it waits for the device.
  std::vector<std::vector<double>> scalars() const;
  // The sums of the statistics, (s) on the CPU, for each maximal subtree. Adds in place: call once after
  // compute().
  std::vector<PartialSum> statistics(size_t phase);

 private:
  struct PhaseState;
  // The microbatch that a worker computes.
  struct ActiveMicrobatch {
    std::vector<torch::Tensor> parameters;  // of the worker's replica
    GradientSums sums;
    bool is_last = false;           // of the worker's microbatches
    std::vector<bool> accumulated;  // for each parameter: its gradient has been added
    std::vector<int64_t> missing;   // for each bucket: the number of gradients not yet added
  };

  IndexRange worker_microbatches(int worker) const {
    return partition(local_microbatches_, worker, workers_.count());
  }
  void register_hooks(int worker);
  void reset(PhaseState& state);
  void begin_microbatch(int worker, int64_t microbatch);
  void accumulate(int worker, size_t parameter);    // its gradient, if defined
  void complete_bucket(int worker, size_t bucket);  // all gradients of the microbatch have been added
  void end_microbatch(int worker, int64_t microbatch, MicrobatchReport report);

  Workers& workers_;
  const FlatParameters& flat_parameters_;
  IndexRange local_microbatches_;
  int64_t microbatches_;
  std::vector<ActiveMicrobatch> active_;  // (workers)
  std::vector<std::unique_ptr<PhaseState>> phases_;
  PhaseState* current_ = nullptr;                   // during compute()
  const std::function<bool()>* advance_ = nullptr;  // during compute()
  std::vector<torch::Tensor> scalars_;              // of each microbatch
};

}  // namespace elbo
