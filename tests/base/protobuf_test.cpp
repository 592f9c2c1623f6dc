#include "elbo/base/protobuf.h"

#include <gtest/gtest.h>

namespace elbo {
namespace {

// The examples of https://protobuf.dev/programming-guides/encoding.
TEST(Protobuf, FieldsAreEncodedAsItsDocumentationSays) {
  EXPECT_EQ(Message().add(1, int64_t{150}).bytes(), std::string("\x08\x96\x01"));
  EXPECT_EQ(Message().add(2, "testing").bytes(), "\x12\x07testing");
  EXPECT_EQ(Message().add(3, Message().add(1, int64_t{150})).bytes(), std::string("\x1a\x03\x08\x96\x01"));
  EXPECT_EQ(Message().add(1, int64_t{-2}).bytes(),
            std::string("\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
  EXPECT_EQ(Message().add(20, 1.0F).bytes(), std::string("\xa5\x01\x00\x00\x80\x3f", 6));
  EXPECT_EQ(Message().add(1, 1.0).bytes(), std::string("\x09\x00\x00\x00\x00\x00\x00\xf0\x3f", 9));
  EXPECT_EQ(Message().add_packed(2, {0.0, 1.0}).bytes(),
            std::string("\x12\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\x3f", 18));
}

}  // namespace
}  // namespace elbo
