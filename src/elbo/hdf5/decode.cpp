#include "elbo/hdf5/decode.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <libdeflate.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>

#include "elbo/hdf5/codecs.h"
#include "elbo/hdf5/interleave.h"

namespace elbo {
namespace {

[[noreturn]] void damaged(const char* what) { throw std::runtime_error(what); }

// ---- filters ----

constexpr size_t checksum_bytes = 4;

bool compresses(Filter filter) {
  return filter != Filter::shuffle && filter != Filter::fletcher32 && filter != Filter::bitshuffle;
}

// The most bytes that undoing a filter may give: a chunk with the checksums that inner filters may have
// appended, or what an inner compressor made of bytes that it could not compress.
size_t largest_output(const Storage& storage) {
  const uint64_t whole = storage.chunk_bytes();
  const bool several = std::ranges::count_if(storage.filters, compresses) > 1;
  return whole + checksum_bytes * storage.filters.size() + (several ? whole / 32 + 1024 : 0);
}

void inflate(Bytes& bytes, size_t limit) {
  struct Free {
    void operator()(libdeflate_decompressor* d) const { libdeflate_free_decompressor(d); }
  };
  thread_local const std::unique_ptr<libdeflate_decompressor, Free> decompressor(
      libdeflate_alloc_decompressor());
  if (!decompressor) throw std::bad_alloc();
  Bytes& out = spare_bytes(limit);
  size_t size = 0;
  if (libdeflate_zlib_decompress(decompressor.get(), bytes.data(), bytes.size(), out.data(), out.size(),
                                 &size) != LIBDEFLATE_SUCCESS)
    damaged("its deflate stream is damaged");
  out.resize(size);
  bytes.swap(out);
}

// LibLZF's format: a control byte c < 32 is followed by c + 1 literals. Other control bytes begin a
// back-reference with 3 bits of length and 13 bits of distance.
void expand_lzf(Bytes& bytes, size_t limit) {
  Bytes& out = spare_bytes(0);
  out.reserve(limit);
  const uint8_t* at = bytes.data();
  const uint8_t* const end = at + bytes.size();
  const auto next = [&] { return at < end ? *at++ : (damaged("its LZF stream is cut short"), uint8_t{0}); };
  while (at < end) {
    const unsigned control = next();
    if (control < 32) {
      const size_t literals = control + 1;
      if (static_cast<size_t>(end - at) < literals) damaged("its LZF stream is cut short");
      if (out.size() + literals > limit) damaged("its LZF stream is longer than a chunk");
      out.insert(out.end(), at, at + literals);
      at += literals;
      continue;
    }
    size_t length = control >> 5;
    if (length == 7) length += next();
    length += 2;
    const size_t distance = ((control & 31U) << 8 | unsigned{next()}) + 1;
    if (distance > out.size()) damaged("its LZF stream refers to bytes before its start");
    if (out.size() + length > limit) damaged("its LZF stream is longer than a chunk");
    for (size_t i = 0; i < length; ++i) out.push_back(out[out.size() - distance]);
  }
  bytes.swap(out);
}

// Input: byte 0 of all elements, then byte 1 of all, …. Bytes after the last whole element are not shuffled.
void unshuffle(Bytes& bytes, size_t element_size) {
  const size_t elements = bytes.size() / element_size;
  if (element_size < 2 || elements < 2) return;
  Bytes& out = spare_bytes(bytes.size());
  interleave(bytes.data(), elements, element_size, out.data());
  std::copy(bytes.begin() + static_cast<int64_t>(elements * element_size), bytes.end(),
            out.begin() + static_cast<int64_t>(elements * element_size));
  bytes.swap(out);
}

// HDF5's variant of Fletcher's checksum: words of 16 bits, big-endian, sums modulo 65535.
uint32_t fletcher32(const uint8_t* data, size_t size) {
  uint32_t low = 0, high = 0;
  const auto fold = [](uint32_t sum) { return (sum & 0xffffU) + (sum >> 16); };
  for (size_t words = size / 2; words > 0;) {
    const size_t block = std::min<size_t>(words, 360);  // that many additions do not overflow
    words -= block;
    for (size_t i = 0; i < block; ++i, data += 2) {
      low += uint32_t{data[0]} << 8 | uint32_t{data[1]};
      high += low;
    }
    low = fold(low);
    high = fold(high);
  }
  if (size % 2 != 0) {
    low += uint32_t{data[0]} << 8;
    high += low;
    low = fold(low);
    high = fold(high);
  }
  low = fold(low);
  high = fold(high);
  return high << 16 | low;
}

void check_fletcher32(Bytes& bytes) {
  if (bytes.size() < checksum_bytes) damaged("it is too short for its checksum");
  const size_t size = bytes.size() - checksum_bytes;
  uint32_t stored = 0;
  for (size_t i = 0; i < checksum_bytes; ++i) stored |= uint32_t{bytes[size + i]} << (8 * i);
  const uint32_t computed = fletcher32(bytes.data(), size);
  // HDF5 1.6.2 and earlier swap the bytes of each half.
  const uint32_t swapped = (computed & 0x00ff00ffU) << 8 | (computed & 0xff00ff00U) >> 8;
  if (stored != computed && stored != swapped) damaged("it does not match its checksum (Fletcher-32)");
  bytes.resize(size);
}

// ---- numbers ----

template <typename Number, bool swapped>
Number load(const uint8_t* stored) {
  uint8_t bytes[sizeof(Number)];
  std::memcpy(bytes, stored, sizeof(Number));
  if constexpr (swapped) std::reverse(std::begin(bytes), std::end(bytes));
  return std::bit_cast<Number>(bytes);
}

struct HalfBits {
  uint16_t bits;
  explicit operator float() const { return c10::detail::fp16_ieee_to_fp32_value(bits); }
};
struct BrainBits {
  uint16_t bits;
  explicit operator float() const { return c10::detail::f32_from_bits(bits); }
};

template <typename To, typename From>
To cast(From value) {
  if constexpr (std::is_same_v<From, HalfBits> || std::is_same_v<From, BrainBits>) {
    return static_cast<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, int64_t> && std::is_same_v<From, uint64_t>) {
    return static_cast<int64_t>(std::min<uint64_t>(value, std::numeric_limits<int64_t>::max()));
  } else {
    return static_cast<To>(value);
  }
}

template <typename From, typename To>
void convert_all(const uint8_t* stored, int64_t n, bool swapped, To* out) {
  constexpr auto size = static_cast<int64_t>(sizeof(From));
  if (swapped) {
    for (int64_t i = 0; i < n; ++i) out[i] = cast<To>(load<From, true>(stored + i * size));
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = cast<To>(load<From, false>(stored + i * size));
  }
}

template <typename To>
void convert_to(const ElementType& from, const uint8_t* stored, int64_t n, To* out) {
  const bool is_signed = from.kind == ElementType::Kind::signed_integer, swapped = from.swapped;
  if (from.kind == ElementType::Kind::floating) {
    switch (from.size) {
      case 2:
        return from.brain_float ? convert_all<BrainBits>(stored, n, swapped, out)
                                : convert_all<HalfBits>(stored, n, swapped, out);
      case 4:
        return convert_all<float>(stored, n, swapped, out);
      default:
        return convert_all<double>(stored, n, swapped, out);
    }
  }
  switch (from.size) {
    case 1:
      return is_signed ? convert_all<int8_t>(stored, n, swapped, out)
                       : convert_all<uint8_t>(stored, n, swapped, out);
    case 2:
      return is_signed ? convert_all<int16_t>(stored, n, swapped, out)
                       : convert_all<uint16_t>(stored, n, swapped, out);
    case 4:
      return is_signed ? convert_all<int32_t>(stored, n, swapped, out)
                       : convert_all<uint32_t>(stored, n, swapped, out);
    default:
      return is_signed ? convert_all<int64_t>(stored, n, swapped, out)
                       : convert_all<uint64_t>(stored, n, swapped, out);
  }
}

}  // namespace

void undo_filters(const Storage& storage, uint32_t filter_mask, Bytes& bytes) {
  const uint64_t whole = storage.chunk_bytes();
  const size_t limit = largest_output(storage);
  const auto element_size = static_cast<size_t>(storage.type.size);
  for (size_t i = storage.filters.size(); i-- > 0;) {
    if ((filter_mask >> i & 1U) != 0) continue;
    switch (storage.filters[i]) {
      case Filter::deflate:
        inflate(bytes, limit);
        break;
      case Filter::shuffle:
        unshuffle(bytes, element_size);
        break;
      case Filter::fletcher32:
        check_fletcher32(bytes);
        break;
      case Filter::lzf:
        expand_lzf(bytes, limit);
        break;
      case Filter::zstd:
        expand_zstd(bytes, limit);
        break;
      case Filter::lz4:
        expand_lz4(bytes, limit);
        break;
      case Filter::blosc:
        expand_blosc(bytes, limit);
        break;
      case Filter::bitshuffle:
        undo_bitshuffle(bytes, element_size);
        break;
      case Filter::bitshuffle_zstd:
        expand_bitshuffle_zstd(bytes, element_size, limit);
        break;
      case Filter::bitshuffle_lz4:
        expand_bitshuffle_lz4(bytes, element_size, limit);
        break;
    }
  }
  if (bytes.size() != whole) damaged("its size is not that of the dataset's chunks");
}

void convert(const ElementType& from, const uint8_t* stored, int64_t n, torch::ScalarType to, void* out) {
  switch (to) {
    case torch::kUInt8:
      std::memcpy(out, stored, static_cast<size_t>(n));
      return;
    case torch::kInt64:
      return convert_to(from, stored, n, static_cast<int64_t*>(out));
    case torch::kFloat64:
      return convert_to(from, stored, n, static_cast<double*>(out));
    default:
      return convert_to(from, stored, n, static_cast<float*>(out));
  }
}

bool same_representation(const ElementType& from, torch::ScalarType to) {
  const bool floating = from.kind == ElementType::Kind::floating;
  if (from.swapped) return false;
  if (to == torch::kUInt8) return from.kind == ElementType::Kind::unsigned_integer && from.size == 1;
  if (to == torch::kInt64) return from.kind == ElementType::Kind::signed_integer && from.size == 8;
  return floating && ((to == torch::kFloat32 && from.size == 4) || (to == torch::kFloat64 && from.size == 8));
}

}  // namespace elbo
