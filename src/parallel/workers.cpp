#include "parallel/workers.h"

#include <ATen/Parallel.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace elbo {

struct Workers::State {
  std::mutex mutex;
  std::condition_variable start, done;
  const std::function<void(int)>* task = nullptr;
  int64_t round = 0;  // counts run() calls; a worker starts when it rises
  int running = 0;
  bool quit = false;
  std::vector<std::exception_ptr> errors;
  std::vector<std::jthread> threads;

  void attempt(const std::function<void(int)>& work, int worker) {
    try {
      work(worker);
    } catch (...) {
      errors[static_cast<size_t>(worker)] = std::current_exception();
    }
  }

  void loop(int worker) {
    at::set_num_threads(1);
    for (int64_t seen = 0;;) {
      std::unique_lock lock(mutex);
      start.wait(lock, [&] { return quit || round > seen; });
      if (quit) return;
      seen = round;
      const std::function<void(int)>& work = *task;
      lock.unlock();
      attempt(work, worker);
      lock.lock();
      if (--running == 0) done.notify_one();
    }
  }
};

Workers::Workers(int count) : state_(std::make_unique<State>()) {
  at::set_num_threads(1);
  state_->errors.resize(static_cast<size_t>(count));
  for (int worker = 1; worker < count; ++worker)
    state_->threads.emplace_back([state = state_.get(), worker] { state->loop(worker); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->quit = true;
  }
  state_->start.notify_all();
  state_->threads.clear();  // joins
}

int Workers::count() const { return static_cast<int>(state_->errors.size()); }

void Workers::run(const std::function<void(int)>& task) {
  State& s = *state_;
  std::ranges::fill(s.errors, nullptr);
  {
    const std::lock_guard lock(s.mutex);
    s.task = &task;
    s.running = count() - 1;
    ++s.round;
  }
  s.start.notify_all();
  s.attempt(task, 0);
  std::unique_lock lock(s.mutex);
  s.done.wait(lock, [&] { return s.running == 0; });
  for (const std::exception_ptr& error : s.errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace elbo
