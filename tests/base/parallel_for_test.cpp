#include "elbo/base/parallel_for.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "elbo/base/error.h"

namespace elbo {
namespace {

TEST(ParallelFor, CallsEachIterationOnce) {
  for (const int threads : {1, 2, 5})
    for (const int64_t n : {0, 1, 3, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(n));
      parallel_for(n, threads, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
      for (const std::atomic<int>& count : calls) EXPECT_EQ(count, 1);
    }
}

TEST(ParallelFor, RethrowsTheExceptionOfTheLowestIteration) {
  for (const int threads : {1, 3}) {
    // With several threads, iteration 0 ends after another has begun to fail.
    std::atomic<bool> other = threads == 1;
    try {
      parallel_for(3, threads, [&](int64_t i) {
        if (i > 0) {
          other = true;
          other.notify_all();
        }
        other.wait(false);
        fail("iteration {}", i);
      });
      ADD_FAILURE() << "no exception";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "iteration 0");
    }
  }
}

}  // namespace
}  // namespace elbo
