#include "elbo/base/text.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace elbo {
namespace {

TEST(Hanging, WrapsTheTextBesideItsLabel) {
  EXPECT_EQ(hanging("--n=1", "one two three", 8, 16), "--n=1   one two\n        three\n");
  EXPECT_EQ(hanging("--number=1", "one", 8, 16), "--number=1\n        one\n");
  EXPECT_EQ(hanging("", "one two", 0, 4), "one\ntwo\n");
}

TEST(Hanging, CountsCharactersNotBytes) {
  EXPECT_EQ(hanging("μ", "…… ……", 2, 7), "μ …… ……\n");
  EXPECT_EQ(hanging("μ", "…… ……", 2, 6), "μ ……\n  ……\n");
}

TEST(Hanging, AWordThatIsTooLongIsKept) {
  EXPECT_EQ(hanging("a", "b longer_than_that c", 2, 8), "a b\n  longer_than_that\n  c\n");
}

TEST(TerminalColumns, FollowTheEnvironment) {
  const char* old = std::getenv("COLUMNS");
  const std::string before = old == nullptr ? "" : old;
  ::setenv("COLUMNS", "123", 1);
  EXPECT_EQ(terminal_columns(), 123U);
  for (const char* wrong : {"", "0", "wide"}) {
    ::setenv("COLUMNS", wrong, 1);
    EXPECT_GT(terminal_columns(), 0U);
  }
  if (old == nullptr)
    ::unsetenv("COLUMNS");
  else
    ::setenv("COLUMNS", before.c_str(), 1);
}

}  // namespace
}  // namespace elbo
