#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "elbo/base/vectorize.h"
#include "elbo/hdf5/codecs.h"
#include "elbo/hdf5/interleave.h"

namespace elbo {
namespace {

// The rows of an 8x8 matrix of bits are the bytes of `matrix`; returns its transpose (Warren, Hacker's
// Delight).
uint64_t transpose_bits(uint64_t matrix) {
  uint64_t t = (matrix ^ (matrix >> 7)) & 0x00AA00AA00AA00AAU;
  matrix ^= t ^ (t << 7);
  t = (matrix ^ (matrix >> 14)) & 0x0000CCCC0000CCCCU;
  matrix ^= t ^ (t << 14);
  t = (matrix ^ (matrix >> 28)) & 0x00000000F0F0F0F0U;
  return matrix ^ t ^ (t << 28);
}

constexpr size_t words_at_once = 8;
using Words = std::array<std::array<uint64_t, words_at_once>, 8>;

// Exchanges what the mask, shifted to the left, selects in x[i] with what it selects in x[i + distance].
template <size_t distance, unsigned shift, uint64_t mask>
inline void exchange(Words& x) {
  for (size_t i = 0; i < 8; ++i)
    if ((i & distance) == 0)
      for (size_t word = 0; word < words_at_once; ++word) {
        const uint64_t changed = ((x[i][word] >> shift) ^ x[i + distance][word]) & mask;
        x[i + distance][word] ^= changed;
        x[i][word] ^= changed << shift;
      }
}

// The bits of one byte of elements: `row` bytes with the lowest bit of all, then as many with the next bit,
// …. Gives that byte of each element. Many elements at a time: the matrices of 8x8 bits in 64 groups of 8
// elements are transposed at once, and then the matrices of 8x8 bytes. Returns how many groups that were.
ELBO_VECTORIZE size_t transpose_many(const uint8_t* bits, size_t row, uint8_t* bytes) {
  constexpr size_t groups = 8 * words_at_once;
  size_t group = 0;
  Words x{};
  for (; group + groups <= row; group += groups) {
    for (size_t bit = 0; bit < 8; ++bit) std::memcpy(x[bit].data(), bits + bit * row + group, groups);
    exchange<1, 1, 0x5555555555555555U>(x);
    exchange<2, 2, 0x3333333333333333U>(x);
    exchange<4, 4, 0x0F0F0F0F0F0F0F0FU>(x);
    exchange<1, 8, 0x00FF00FF00FF00FFU>(x);
    exchange<2, 16, 0x0000FFFF0000FFFFU>(x);
    exchange<4, 32, 0x00000000FFFFFFFFU>(x);
    for (size_t word = 0; word < words_at_once; ++word)
      for (size_t k = 0; k < 8; ++k) std::memcpy(bytes + 8 * (group + 8 * word + k), &x[k][word], 8);
  }
  return group;
}

// n elements, a multiple of 8. Input: for each bit of an element, a row with that bit of all elements, the
// first element in the lowest bit.
void unshuffle_block(const uint8_t* in, size_t n, size_t element_size, uint8_t* out) {
  thread_local Bytes buffer;
  buffer.resize(n * element_size);
  uint8_t* planes = element_size == 1 ? out : buffer.data();  // byte 0 of all elements, then byte 1, …
  const size_t row = n / 8;
  for (size_t byte = 0; byte < element_size; ++byte) {
    const uint8_t* bits = in + byte * n;
    uint8_t* plane = planes + byte * n;
    for (size_t group = transpose_many(bits, row, plane); group < row; ++group) {
      uint64_t matrix = 0;
      for (size_t bit = 0; bit < 8; ++bit) matrix |= uint64_t{bits[bit * row + group]} << (8 * bit);
      matrix = transpose_bits(matrix);
      std::memcpy(plane + 8 * group, &matrix, sizeof matrix);
    }
  }
  if (element_size > 1) interleave(planes, n, element_size, out);
}

size_t default_block(size_t element_size) {
  constexpr size_t target_bytes = 8192, least = 128;
  return std::max(target_bytes / element_size / 8 * 8, least);
}

// Calls visit(elements) for each block. Up to seven elements at the end are in no block.
template <typename Visit>
void for_each_block(size_t elements, size_t block, Visit&& visit) {
  for (size_t i = 0; i < elements / block; ++i) visit(block);
  if (const size_t last = elements % block / 8 * 8; last > 0) visit(last);
}

}  // namespace

void undo_bitshuffle(Bytes& bytes, size_t element_size) {
  Bytes& out = spare_bytes(bytes.size());
  size_t at = 0;
  for_each_block(bytes.size() / element_size, default_block(element_size), [&](size_t n) {
    unshuffle_block(bytes.data() + at, n, element_size, out.data() + at);
    at += n * element_size;
  });
  std::copy(bytes.begin() + static_cast<int64_t>(at), bytes.end(), out.begin() + static_cast<int64_t>(at));
  bytes.swap(out);
}

// The size of all elements (8 bytes) and of a block (4 bytes), then for each block its compressed size (4
// bytes) and itself, then the elements that are in no block.
void expand_bitshuffle(Bytes& bytes, size_t element_size, size_t limit, const Decompress& decompress) {
  constexpr size_t head = 12;
  const auto refuse = [] { throw std::runtime_error("its bitshuffle stream is damaged"); };
  if (bytes.size() < head) refuse();
  const uint64_t size = big_endian(bytes.data(), 8), block_bytes = big_endian(bytes.data() + 8, 4);
  const size_t block = block_bytes / element_size;
  if (size > limit || size % element_size != 0 || block == 0 || block % 8 != 0) refuse();
  Bytes& out = spare_bytes(size);
  thread_local Bytes shuffled;
  shuffled.resize(std::min<size_t>(block * element_size, size));
  size_t at = head, to = 0;
  for_each_block(size / element_size, block, [&](size_t n) {
    if (bytes.size() - at < 4) refuse();
    const size_t stored = big_endian(bytes.data() + at, 4);
    at += 4;
    if (stored > bytes.size() - at ||
        !decompress(bytes.data() + at, stored, shuffled.data(), n * element_size))
      refuse();
    unshuffle_block(shuffled.data(), n, element_size, out.data() + to);
    at += stored;
    to += n * element_size;
  });
  if (bytes.size() - at < size - to) refuse();
  std::copy_n(bytes.data() + at, size - to, out.data() + to);
  bytes.swap(out);
}

}  // namespace elbo
