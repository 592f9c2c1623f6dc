// main() of tests on several ranks: rank 0 prints the results, the other ranks only their failures.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstdlib>
#include <string>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "ranks.h"

namespace elbo {

const Environment& environment() {
  static const Environment instance;
  return instance;
}

Communicator& world() {
  static const std::unique_ptr<Communicator> instance = environment().make_world(/*timeout=*/60);
  return *instance;
}

namespace {

class RankListener final : public testing::EmptyTestEventListener {
 public:
  explicit RankListener(Communicator& comm) : comm_(comm) {}

  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed() || environment().rank() == 0) return;
    log::write("rank " + std::to_string(environment().rank()) + ": ",
               fmt::format("{}:{}: {}", result.file_name() == nullptr ? "" : result.file_name(),
                           result.line_number(), result.message()));
  }

  // A failure on one rank fails the test on all ranks, so that all of them stop at the same test.
  void OnTestEnd(const testing::TestInfo& test) override {
    const bool mine = test.result()->Failed();
    torch::Tensor failed = torch::full({1}, mine ? 1 : 0, torch::kInt32);
    comm_.all_reduce(failed, ReduceOp::max);
    if (!mine && failed.item<int>() != 0) ADD_FAILURE() << "failed on another rank";
  }

 private:
  Communicator& comm_;
};

int run_tests() {
  // Its timeout is longer than that of the tests' communicators.
  const std::unique_ptr<Communicator> comm = environment().make_world(/*timeout=*/120);
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  if (environment().rank() != 0) delete listeners.Release(listeners.default_result_printer());
  listeners.Append(std::make_unique<RankListener>(*comm).release());
  // After a failure the ranks may be in different calls, so no further test can run.
  testing::GTEST_FLAG(fail_fast) = true;
  try {
    return RUN_ALL_TESTS();
  } catch (const Error& error) {
    return environment().end_job(error);
  }
}

}  // namespace
}  // namespace elbo

int main(int argc, char** argv) {
  ::setenv("OMP_NUM_THREADS", "1", 1);
  at::set_num_threads(1);
  elbo::environment();
  testing::InitGoogleTest(&argc, argv);
  return elbo::run_tests();
}
