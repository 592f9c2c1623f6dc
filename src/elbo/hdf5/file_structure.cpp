#include "elbo/hdf5/file_structure.h"

namespace elbo {

Superblock read_superblock(const RawFile& file) {
  constexpr std::string_view signature = "\211HDF\r\n\032\n";
  for (uint64_t at = 0;; at = at == 0 ? 512 : 2 * at) {  // after a user block, whose size is a power of two
    if (!file.holds(at, 64)) throw Unreadable("no superblock");
    Cursor cursor(file, at, 64);
    if (!cursor.begins_with(signature)) continue;
    cursor.expect(signature);
    const uint64_t version = cursor.number(1);
    Superblock result;
    if (version <= 1) {
      cursor.skip(4);
      result.offset_size = static_cast<int>(cursor.number(1));
      result.length_size = static_cast<int>(cursor.number(1));
      cursor.skip(version == 0 ? 9 : 13);
    } else if (version <= 3) {
      result.offset_size = static_cast<int>(cursor.number(1));
      result.length_size = static_cast<int>(cursor.number(1));
      cursor.skip(1);
    } else {
      throw Unreadable(fmt::format("superblock version {}", version));
    }
    for (const int size : {result.offset_size, result.length_size})
      if (size != 2 && size != 4 && size != 8) throw Unreadable("addresses have an unknown size");
    result.base = cursor.number(result.offset_size);
    return result;
  }
}

}  // namespace elbo
