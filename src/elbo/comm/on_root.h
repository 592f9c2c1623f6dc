// Work of the root alone, such as reading and writing files, for which the other ranks wait without a limit:
// a slow disk is not a hang.
#pragma once
#include <chrono>
#include <functional>
#include <future>
#include <utility>

#include "elbo/comm/communicator.h"

namespace elbo {

// Returns once is_done() is true on the root. It is called there again and again, and may wait some tenths of
// a second. Collective.
void wait_for_root(Communicator& world, const std::function<bool()>& is_done);

// Whether the future's result is there; waits for it up to two tenths of a second.
template <typename Result>
bool is_ready(const std::future<Result>& future) {
  return future.wait_for(std::chrono::milliseconds(200)) == std::future_status::ready;
}

// What `task` returns on the root, where it runs in another thread and must not communicate; Result{} on
// other ranks. Throws on the root what the task throws. Collective.
template <typename Result>
Result on_root(Communicator& world, const std::function<Result()>& task) {
  std::future<Result> result;
  if (world.rank() == 0) result = std::async(std::launch::async, task);
  wait_for_root(world, [&] { return is_ready(result); });
  return world.rank() == 0 ? result.get() : Result{};
}

}  // namespace elbo
