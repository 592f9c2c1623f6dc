#include "elbo/hdf5/chunk_index.h"

#include <gmock/gmock.h>

#include <fstream>

#include "files.h"

namespace elbo {
namespace {

// Little-endian bytes.
std::string number(uint64_t value, int size) {
  std::string bytes;
  for (int i = 0; i < size; ++i, value >>= 8) bytes += static_cast<char>(value);
  return bytes;
}

class ChunkIndexTest : public FilesTest {
 protected:
  static constexpr uint64_t header = 64, messages = header + 16;

  // The reason why a file with these messages in its only object header, followed by `rest`, is not read.
  std::string reason_of(const std::string& message_bytes, const std::string& rest = "") const {
    std::string bytes = "\211HDF\r\n\032\n" + number(2, 1) + number(8, 1) + number(8, 1);
    bytes.resize(header);
    bytes += number(1, 8) + number(message_bytes.size(), 8) + message_bytes + rest;
    std::ofstream(path("raw"), std::ios::binary) << bytes;
    Storage storage;
    storage.shape = {10, 4};
    storage.chunk = {1, 4};
    std::string why_not;
    EXPECT_FALSE(read_chunk_index(RawFile(path("raw")), header, storage, why_not));
    return why_not;
  }
  static std::string message(uint64_t type, const std::string& content) {
    return number(type, 2) + number(content.size(), 2) + number(0, 4) + content;
  }
};

TEST_F(ChunkIndexTest, RejectsHeaderBlocksWithTwoReferencesToTheNext) {
  std::string blocks;
  for (uint64_t i = 0; i < 60; ++i) {
    const std::string next = message(0x10, number(messages + (i + 1) * 48, 8) + number(48, 8));
    blocks += next + next;
  }
  EXPECT_THAT(reason_of(blocks.substr(0, 48), blocks.substr(48) + std::string(48, '\0')),
              testing::HasSubstr("refer to the same one"));
}

TEST_F(ChunkIndexTest, RejectsTreeNodesWithTwoReferencesToTheNext) {
  const std::string layout =
      message(0x08, number(3, 1) + number(2, 1) + number(3, 1) + number(messages + 24, 8) + number(0, 5));
  constexpr uint64_t levels = 30, node_bytes = 24 + 2 * 40;
  std::string tree;
  for (uint64_t i = 0; i < levels; ++i) {
    const uint64_t next = messages + layout.size() + (i + 1) * node_bytes;
    tree += "TREE" + number(1, 1) + number(levels - 1 - i, 1) + number(2, 2) + number(0, 16);
    for (int entry = 0; entry < 2; ++entry) tree += std::string(32, '\0') + number(next, 8);
  }
  EXPECT_THAT(reason_of(layout, tree + std::string(200, '\0')), testing::HasSubstr("refer to the same one"));
}

}  // namespace
}  // namespace elbo
