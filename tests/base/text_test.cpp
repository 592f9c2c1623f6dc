#include "elbo/base/text.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace elbo {
namespace {

TEST(Text, IsPrintableWithoutControlCharacters) {
  EXPECT_EQ(printable("plain, Grüße, 数字"), "plain, Grüße, 数字");
  EXPECT_EQ(printable("a\x1b[2J\nb\x7f"), "a\\x1b[2J\\x0ab\\x7f");
  EXPECT_EQ(printable("m\xfcnchen"), "m\\xfcnchen") << "Latin-1";
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "\\xc2\\x9b"
            "2J")
      << "a control character of Latin-1";
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae") << "turns the direction of text";
  EXPECT_EQ(printable("\xc0\x8a\xf8\xe2\x82"), "\\xc0\\x8a\\xf8\\xe2\\x82")
      << "overlong, too long, cut short";
  EXPECT_EQ(printable("a\nb\t", "\n"), "a\nb\\x09");
}

TEST(Text, InLinesKeepsItsOwnLineBreaksAndBlanks) {
  const std::vector<std::string> texts{"", " a ", "two\nlines", "back\\slash", "\\n", ""};
  EXPECT_EQ(texts_in_lines(as_lines(texts)), texts);
  EXPECT_EQ(as_lines({"plain", "text"}), "plain\ntext");
  EXPECT_TRUE(texts_in_lines("").empty());
}

TEST(Text, IsShortenedInItsMiddle) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("0123456789", 6), "0123 … 89");
}

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
