#include "elbo/hdf5/file_structure.h"

#include <fstream>

#include "files.h"

namespace elbo {
namespace {

class FileStructureTest : public FilesTest {
 protected:
  std::unique_ptr<RawFile> make_file(const std::string& content) const {
    std::ofstream(path("raw"), std::ios::binary) << content;
    return std::make_unique<RawFile>(path("raw"));
  }
};

TEST_F(FileStructureTest, NumbersAreLittleEndianAndReadInOrder) {
  const auto file = make_file(std::string("TREE\x01\x02\x03\x00\xff", 9));
  Cursor cursor(*file, 0, 9);
  cursor.expect("TREE");
  EXPECT_EQ(cursor.number(2), 0x0201U);
  cursor.skip(2);
  EXPECT_EQ(cursor.number(1), 0xffU);
  EXPECT_EQ(cursor.left(), 0U);
  EXPECT_THROW(cursor.number(1), Unreadable);
}

TEST_F(FileStructureTest, InvalidSizesAreRejectedBeforeMemoryIsAllocated) {
  const auto file = make_file("short");
  for (const uint64_t size : {uint64_t{6}, uint64_t{1} << 29, uint64_t{1} << 40, ~uint64_t{0}}) {
    EXPECT_THROW(Cursor(*file, 0, size), Unreadable) << size;
    EXPECT_THROW(Cursor(*file, ~uint64_t{0} - 2, size), Unreadable) << size;
  }
}

TEST_F(FileStructureTest, AFileWithoutASuperblockIsRejected) {
  EXPECT_THROW(read_superblock(*make_file(std::string(5000, 'x'))), Unreadable);
}

}  // namespace
}  // namespace elbo
