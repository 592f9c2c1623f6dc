// The worker threads of a rank. A rank uses its cores by computing several leaves at once, never by splitting
// a kernel: every worker runs with one intra-op thread, so bits cannot depend on the number of threads.
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

  // Calls task(worker) once on every worker, at the same time; returns when all are done. If some throw, the
  // exception of the lowest worker is thrown here.
  void run(const std::function<void(int worker)>& task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elbo
