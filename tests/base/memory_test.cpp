#include "elbo/base/memory.h"

#include <gtest/gtest.h>
#include <sys/sysinfo.h>

namespace elbo {
namespace {

TEST(FreeMemory, IsPositiveAndAtMostTheHostsMemory) {
  struct sysinfo machine {};
  ASSERT_EQ(::sysinfo(&machine), 0);
  EXPECT_GT(free_memory(), 0);
  EXPECT_LE(free_memory(), static_cast<int64_t>(machine.totalram) * machine.mem_unit);
}

}  // namespace
}  // namespace elbo
