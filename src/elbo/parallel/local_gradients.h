// What the workers of one rank add up in a phase of a step: gradients, statistics and scalars of their
// leaves. A gradient is taken over as soon as the backward pass has it; those of a worker's last leaf
// complete one bucket (buckets.h) after the other, while the pass works on the next.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/parallel/flat_parameters.h"
#include "elbo/parallel/buckets.h"
#include "elbo/parallel/tree_reducer.h"
#include "elbo/parallel/tree_sum.h"
#include "elbo/parallel/workers.h"

namespace elbo {

// What a leaf has to say besides its gradients: sums over its samples.
struct MicrobatchReport {
  std::vector<std::string> names;  // of the scalars
  std::vector<double> scalars;
  torch::Tensor statistics;  // (s); may be undefined
};

class LocalGradients {
 public:
  // Runs the forward and the backward pass of a leaf on its worker's replica.
  using Task = std::function<MicrobatchReport(int worker, int64_t microbatch)>;

  // of_rank: the rank's leaves of all `leaves`. phases: the buckets of each. replicas: of each worker the
  // parameters of its model, in order of registration. Their gradients are taken and are undefined after a
  // backward pass; outside of the phase they are only cleared.
  LocalGradients(Workers& workers, const FlatParameters& flat_parameters, std::vector<std::vector<torch::Tensor>> replicas,
           const std::vector<Buckets>& phases, IndexRange of_rank, int64_t microbatches);
  ~LocalGradients();
  LocalGradients(const LocalGradients&) = delete;
  LocalGradients& operator=(const LocalGradients&) = delete;

  // Every worker runs the task for each of its leaves. Worker 0 calls advance() whenever it has a gradient,
  // and in the end until that says that nothing is left to do or nobody computes any more; from there
  // complete() and sums() may be called. Throws what a task or advance() throws.
  void compute(size_t phase, const Task& task, const std::function<bool()>& advance);

  // Whether the sums of a bucket, which is not the last one, are complete.
  bool complete(size_t phase, size_t bucket) const;
  // By all workers, once after compute().
  void join_last_bucket(size_t phase);
  // The sums of elements of complete buckets, of the maximal subtrees of the rank's leaves: views that the
  // caller may overwrite, until the next compute().
  std::vector<Part> sums(size_t phase, IndexRange elements) const;

  // What the rank's first leaf reported: the scalars' names and the size of the statistics; nothing where the
  // rank has no leaves.
  struct Form {
    std::vector<std::string> names;
    int64_t statistics = 0;
  };
  const Form& form(size_t phase) const;
  // Of the last compute(), of each leaf of the rank.
  const std::vector<std::vector<double>>& scalars() const { return scalars_; }
  // (s) on the CPU, of the maximal subtrees; adds them up, so it is called once after compute().
  std::vector<Part> statistics(size_t phase);

 private:
  struct PhaseState;
  // A worker's leaf under way.
  struct Open {
    std::vector<torch::Tensor> parameters;  // of its replica
    bool last = false;                      // of the worker's leaves
    std::vector<bool> taken;                // which gradients are here
    std::vector<int64_t> missing;           // of each bucket, so many are not
  };

  IndexRange microbatches_of_worker(int worker) const { return partition(of_rank_, worker, workers_.count()); }
  void hook_in(int worker);
  void begin(PhaseState& state);
  void open(int worker, int64_t microbatch);
  void take(int worker, size_t parameter);  // its gradient, if it has one
  void add_up(int worker, size_t bucket);   // all its gradients of the leaf are here
  void close(int worker, int64_t microbatch, MicrobatchReport report);

  Workers& workers_;
  const FlatParameters& flat_parameters_;
  IndexRange of_rank_;
  int64_t microbatches_;
  std::vector<Open> open_;  // of each worker
  std::vector<std::unique_ptr<PhaseState>> phases_;
  PhaseState* current_ = nullptr;                   // within compute()
  const std::function<bool()>* advance_ = nullptr;  // likewise
  std::vector<std::vector<double>> scalars_;
};

}  // namespace elbo
