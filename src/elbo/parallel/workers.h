// The worker threads of a rank. A rank uses its cores by computing several microbatches in parallel, never by
// splitting a kernel: every worker uses one intra-op thread, so bits do not depend on the number of threads.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

namespace elbo {

class Workers {
 public:
  explicit Workers(int count);  // ≥ 1; the calling thread is worker 0
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  int count() const;

  // Calls task(worker) once on each worker, in parallel, and returns when all are done. Rethrows the
  // exception of the lowest worker that threw.
  void run(const std::function<void(int worker)>& task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elbo
