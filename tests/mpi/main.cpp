// main() of the tests of several ranks: rank 0 reports, the others only what fails on them.
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
  explicit RankListener(Communicator& agreement) : agreement_(agreement) {}

  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed() || environment().rank() == 0) return;
    log::write("rank " + std::to_string(environment().rank()) + ": ",
               fmt::format("{}:{}: {}", result.file_name() == nullptr ? "" : result.file_name(),
                           result.line_number(), result.message()));
  }

  // Ranks that did not fail learn of the others' failures, so that all of them stop at the same test.
  void OnTestEnd(const testing::TestInfo& test) override {
    const bool mine = test.result()->Failed();
    torch::Tensor failed = torch::full({1}, mine ? 1 : 0, torch::kInt32);
    agreement_.all_reduce(failed, ReduceOp::max);
    if (!mine && failed.item<int>() != 0) ADD_FAILURE() << "failed on another rank";
  }

 private:
  Communicator& agreement_;
};

int run_tests() {
  // More patient than the tests' own worlds.
  const std::unique_ptr<Communicator> agreement = environment().make_world(/*timeout=*/120);
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  if (environment().rank() != 0) delete listeners.Release(listeners.default_result_printer());
  listeners.Append(std::make_unique<RankListener>(*agreement).release());
  // After a failure the ranks need not be where they would have to be for the next test.
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
