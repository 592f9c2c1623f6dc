#include "elbo/parallel/workers.h"

#include <ATen/Parallel.h>
#include <sched.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <vector>

namespace elbo {

namespace {

// Waits until `value` differs from `old`. The next round often begins within microseconds, less than sleeping
// and waking take, so it polls first, and yields the core between polls.
template <typename Number>
void wait_while(const std::atomic<Number>& value, Number old) {
  constexpr auto spin_time = std::chrono::microseconds(200);
  const auto end = std::chrono::steady_clock::now() + spin_time;
  while (value.load() == old) {
    if (std::chrono::steady_clock::now() > end) return value.wait(old);
    ::sched_yield();
  }
}

// MKL's vector functions (LibTorch's exp, log, …) detect the type of the CPU in their first call. A
// concurrent call of another thread may see a wrong type and use kernels that give different bits
// (https://github.com/pytorch/pytorch/issues/188792). So one call is made before a second thread exists.
void trigger_mkl_cpu_detection() {
  for (const auto type : {torch::kFloat32, torch::kFloat64}) torch::zeros({1}, type).exp();
}

}  // namespace

struct Workers::State {
  const std::function<void(int)>* task = nullptr;  // null: the threads exit
  std::atomic<int64_t> round = 0;                  // incremented by run() to start the threads
  std::atomic<int> running = 0;
  std::vector<std::exception_ptr> errors;
  std::vector<std::jthread> threads;

  ~State() {  // also runs if a thread cannot be created
    begin(nullptr);
    threads.clear();  // joins
  }

  void attempt(const std::function<void(int)>& work, int worker) {
    try {
      work(worker);
    } catch (...) {
      errors[static_cast<size_t>(worker)] = std::current_exception();
    }
  }

  void begin(const std::function<void(int)>* work) {
    task = work;
    running = static_cast<int>(threads.size());
    ++round;
    round.notify_all();
  }

  void loop(int worker) {
    at::set_num_threads(1);
    for (int64_t seen = 0;; ++seen) {
      wait_while(round, seen);
      if (task == nullptr) return;
      attempt(*task, worker);
      if (--running == 0) running.notify_one();
    }
  }
};

Workers::Workers(int count) : state_(std::make_unique<State>()) {
  at::set_num_threads(1);
  trigger_mkl_cpu_detection();
  state_->errors.resize(static_cast<size_t>(count));
  for (int worker = 1; worker < count; ++worker)
    state_->threads.emplace_back([state = state_.get(), worker] { state->loop(worker); });
}

Workers::~Workers() = default;

int Workers::count() const { return static_cast<int>(state_->errors.size()); }

void Workers::run(const std::function<void(int)>& task) {
  State& s = *state_;
  std::ranges::fill(s.errors, nullptr);
  s.begin(&task);
  s.attempt(task, 0);
  for (int left = s.running; left > 0; left = s.running) wait_while(s.running, left);
  for (const std::exception_ptr& error : s.errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace elbo
