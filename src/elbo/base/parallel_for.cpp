#include "elbo/base/parallel_for.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace elbo {

void parallel_for(int64_t n, int threads, const std::function<void(int64_t)>& task) {
  std::atomic<int64_t> next = 0;
  std::mutex failing;
  std::exception_ptr error;
  int64_t failed = n;  // the lowest iteration that threw
  const auto work = [&] {
    for (int64_t i = next++; i < n; i = next++) {
      try {
        task(i);
      } catch (...) {
        next = n;
        const std::lock_guard lock(failing);
        if (i < failed) error = std::current_exception();
        failed = std::min(failed, i);
      }
    }
  };
  {
    std::vector<std::jthread> others;
    const auto count = std::min<int64_t>(threads, n) - 1;
    others.reserve(static_cast<size_t>(std::max<int64_t>(0, count)));
    for (int64_t other = 0; other < count; ++other) others.emplace_back(work);
    work();
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace elbo
