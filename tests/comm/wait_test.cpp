#include "elbo/comm/wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "elbo/base/error.h"

namespace elbo {
namespace {

const RankName third{.rank = 2, .host = "node7"};

TEST(Wait, DoesNotThrowBeforeItsTimeout) {
  const Wait wait(third, "barrier", 0, 60);
  for (int poll = 0; poll < 1000; ++poll) wait.pause();
}

TEST(Wait, TimesOutWithRankHostCallAndBytes) {
  const Wait wait(third, "all_gather", 3 << 20, 0.05);
  try {
    for (;;) wait.pause();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::hang);
    EXPECT_THAT(error.what(), testing::HasSubstr("rank 2 on node7 waited 0.05 s in all_gather of 3.0 MiB"));
  }
}

}  // namespace
}  // namespace elbo
