#include "parallel/workers.h"

#include <ATen/Parallel.h>
#include <sched.h>
#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <vector>

namespace elbo {

namespace {

// Waits until `value` is no longer `old`. A round is often followed by the next within microseconds, which is
// less than falling asleep and being woken takes; yielding lets whoever needs the core have it meanwhile.
template <typename Number>
void wait_while(const std::atomic<Number>& value, Number old) {
  constexpr auto patience = std::chrono::microseconds(200);
  const auto end = std::chrono::steady_clock::now() + patience;
  while (value.load() == old) {
    if (std::chrono::steady_clock::now() > end) return value.wait(old);
    ::sched_yield();
  }
}

// MKL's vector functions, which compute LibTorch's exp, log and so on, look at their first call for the
// kernels of this CPU, and a thread that calls while another one looks may compute with those of another CPU:
// other bits (https://github.com/pytorch/pytorch/issues/188792). So each is called before there is a second
// thread.
void call_vector_functions_first() {
  const torch::NoGradGuard no_grad;
  for (const auto type : {torch::kFloat32, torch::kFloat64}) {
    const torch::Tensor x = torch::full({1}, 0.5, type);
    for (const auto function : {&torch::exp,  &torch::expm1, &torch::log,    &torch::log10, &torch::log2,
                                &torch::sqrt, &torch::sin,   &torch::cos,    &torch::tan,   &torch::asin,
                                &torch::acos, &torch::atan,  &torch::sinh,   &torch::cosh,  &torch::tanh,
                                &torch::erf,  &torch::erfc,  &torch::erfinv, &torch::trunc, &torch::lgamma})
      function(x);
  }
}

}  // namespace

struct Workers::State {
  const std::function<void(int)>* task = nullptr;  // null: the threads end
  std::atomic<int64_t> round = 0;                  // counts run() calls; a worker starts when it rises
  std::atomic<int> running = 0;
  std::vector<std::exception_ptr> errors;
  std::vector<std::jthread> threads;

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
  call_vector_functions_first();
  state_->errors.resize(static_cast<size_t>(count));
  for (int worker = 1; worker < count; ++worker)
    state_->threads.emplace_back([state = state_.get(), worker] { state->loop(worker); });
}

Workers::~Workers() {
  state_->begin(nullptr);
  state_->threads.clear();  // joins
}

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
