#include "elbo/train/event_file.h"

#include <gmock/gmock.h>

namespace elbo {
namespace {

TEST(EventFile, ChecksumsAreThoseOfRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aa);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43);
  EXPECT_EQ(masked_crc32c(""), 0xa282ead8);
}

TEST(EventFile, ARecordIsReadWhole) {
  EventSummary summary;
  summary.scalar("train/loss", 2);
  std::string file = version_record(1) + summary.record(300, 2);
  RecordReader records(file);
  ASSERT_TRUE(records.next());
  EXPECT_EQ(head_of(records.message()).tag, "");
  ASSERT_TRUE(records.next());
  EXPECT_EQ(head_of(records.message()).step, 300);
  EXPECT_EQ(head_of(records.message()).tag, "train/loss");
  EXPECT_EQ(records.end(), file.size());
  EXPECT_FALSE(records.next());
  file.back() = static_cast<char>(file.back() ^ 1);
  RecordReader damaged(file);
  EXPECT_TRUE(damaged.next());
  EXPECT_FALSE(damaged.next());
  RecordReader cut(std::string_view(file).substr(0, file.size() - 1));
  EXPECT_TRUE(cut.next());
  EXPECT_FALSE(cut.next());
}

}  // namespace
}  // namespace elbo
