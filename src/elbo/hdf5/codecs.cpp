#include "elbo/hdf5/codecs.h"

#include <blosc.h>
#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <new>
#include <stdexcept>

namespace elbo {
namespace {

[[noreturn]] void damaged_stream(const char* what) { throw std::runtime_error(what); }

ZSTD_DCtx* zstd_context() {
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  thread_local const std::unique_ptr<ZSTD_DCtx, Free> context(ZSTD_createDCtx());
  if (!context) throw std::bad_alloc();
  return context.get();
}

bool decompress_zstd(const uint8_t* in, size_t in_size, uint8_t* out, size_t out_size) {
  return ZSTD_decompressDCtx(zstd_context(), out, out_size, in, in_size) == out_size;
}

bool decompress_lz4(const uint8_t* in, size_t in_size, uint8_t* out, size_t out_size) {
  if (in_size > INT_MAX || out_size > INT_MAX) return false;
  return LZ4_decompress_safe(reinterpret_cast<const char*>(in), reinterpret_cast<char*>(out),
                             static_cast<int>(in_size),
                             static_cast<int>(out_size)) == static_cast<int>(out_size);
}

}  // namespace

bool has_codecs() { return true; }

void expand_zstd(Bytes& bytes, size_t limit) {
  Bytes& out = spare_bytes(limit);
  const size_t size = ZSTD_decompressDCtx(zstd_context(), out.data(), out.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size) != 0) damaged_stream("its zstd stream is damaged");
  out.resize(size);
  bytes.swap(out);
}

// The size of all bytes (8 bytes) and of a block (4 bytes), then for each block its stored size (4 bytes) and
// itself: as it is where compression did not shrink it.
void expand_lz4(Bytes& bytes, size_t limit) {
  constexpr size_t head = 12;
  constexpr const char* damage = "its LZ4 stream is damaged";
  if (bytes.size() < head) damaged_stream(damage);
  const uint64_t size = big_endian(bytes.data(), 8), block = big_endian(bytes.data() + 8, 4);
  if (size > limit || (block == 0 && size > 0)) damaged_stream(damage);
  Bytes& out = spare_bytes(size);
  size_t at = head;
  for (size_t to = 0; to < size;) {
    const size_t n = std::min<size_t>(block, size - to);
    if (bytes.size() - at < 4) damaged_stream(damage);
    const size_t stored = big_endian(bytes.data() + at, 4);
    at += 4;
    if (stored > bytes.size() - at) damaged_stream(damage);
    if (stored == n) {
      std::copy_n(bytes.data() + at, n, out.data() + to);
    } else if (!decompress_lz4(bytes.data() + at, stored, out.data() + to, n)) {
      damaged_stream(damage);
    }
    at += stored;
    to += n;
  }
  bytes.swap(out);
}

void expand_blosc(Bytes& bytes, size_t limit) {
  size_t size = 0;
  if (blosc_cbuffer_validate(bytes.data(), bytes.size(), &size) != 0 || size > limit)
    damaged_stream("its Blosc stream is damaged");
  Bytes& out = spare_bytes(size);
  if (size > 0 && blosc_decompress_ctx(bytes.data(), out.data(), size, 1) != static_cast<int>(size))
    damaged_stream("its Blosc stream is damaged");
  bytes.swap(out);
}

void expand_bitshuffle_zstd(Bytes& bytes, size_t element_size, size_t limit) {
  expand_bitshuffle(bytes, element_size, limit, decompress_zstd);
}

void expand_bitshuffle_lz4(Bytes& bytes, size_t element_size, size_t limit) {
  expand_bitshuffle(bytes, element_size, limit, decompress_lz4);
}

}  // namespace elbo
