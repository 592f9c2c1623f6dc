// Filters of plugins. The oracles are streams written by hand after the formats' descriptions, and those that
// the compressing libraries write; bits are shuffled one by one, as Masui et al. 2015 describe it.
#include "elbo/hdf5/codecs.h"

#include <blosc.h>
#include <gmock/gmock.h>
#include <lz4.h>
#include <torch/types.h>
#include <zstd.h>

#include <random>

#include "elbo/base/error.h"
#include "elbo/hdf5/data_file.h"
#include "files.h"

namespace elbo {
namespace {

void append_big_endian(Bytes& bytes, uint64_t value, int n) {
  for (int i = n; i-- > 0;) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

Bytes zstd(const uint8_t* data, size_t size) {
  Bytes out(ZSTD_compressBound(size));
  out.resize(ZSTD_compress(out.data(), out.size(), data, size, 3));
  return out;
}

Bytes lz4_block(const uint8_t* data, size_t size) {
  Bytes out(static_cast<size_t>(LZ4_compressBound(static_cast<int>(size))));
  out.resize(static_cast<size_t>(LZ4_compress_default(reinterpret_cast<const char*>(data),
                                                      reinterpret_cast<char*>(out.data()),
                                                      static_cast<int>(size), static_cast<int>(out.size()))));
  return out;
}

Bytes lz4(const Bytes& data, size_t block) {
  Bytes out;
  append_big_endian(out, data.size(), 8);
  append_big_endian(out, block, 4);
  for (size_t at = 0; at < data.size(); at += block) {
    const size_t n = std::min(block, data.size() - at);
    const Bytes raw(data.begin() + static_cast<int64_t>(at), data.begin() + static_cast<int64_t>(at + n));
    Bytes stored = lz4_block(raw.data(), n);
    if (stored.size() >= n) stored = raw;
    append_big_endian(out, stored.size(), 4);
    out.insert(out.end(), stored.begin(), stored.end());
  }
  return out;
}

Bytes blosc(const Bytes& data, size_t element_size, const char* compressor, int shuffle) {
  Bytes out(data.size() + BLOSC_MAX_OVERHEAD);
  const int size = blosc_compress_ctx(5, shuffle, element_size, data.size(), data.data(), out.data(),
                                      out.size(), compressor, 0, 1);
  EXPECT_GT(size, 0);
  out.resize(static_cast<size_t>(size));
  return out;
}

// Bit b of element i becomes bit b * n + i.
Bytes shuffle_bits(const uint8_t* data, size_t n, size_t element_size) {
  Bytes out(n * element_size, 0);
  for (size_t bit = 0; bit < 8 * element_size; ++bit)
    for (size_t i = 0; i < n; ++i)
      if ((data[i * element_size + bit / 8] >> bit % 8 & 1) != 0)
        out[(bit * n + i) / 8] |= static_cast<uint8_t>(1U << (bit * n + i) % 8);
  return out;
}

// compress: of a block; none: blocks follow one another without sizes.
Bytes bitshuffle(const Bytes& data, size_t element_size, size_t block,
                 const std::function<Bytes(const uint8_t*, size_t)>& compress) {
  Bytes out;
  if (compress) {
    append_big_endian(out, data.size(), 8);
    append_big_endian(out, block * element_size, 4);
  }
  size_t at = 0;
  const size_t elements = data.size() / element_size;
  while (elements - at / element_size >= 8) {
    const size_t n = std::min(block, (elements - at / element_size) / 8 * 8);
    const Bytes shuffled = shuffle_bits(data.data() + at, n, element_size);
    const Bytes stored = compress ? compress(shuffled.data(), shuffled.size()) : shuffled;
    if (compress) append_big_endian(out, stored.size(), 4);
    out.insert(out.end(), stored.begin(), stored.end());
    at += n * element_size;
  }
  out.insert(out.end(), data.begin() + static_cast<int64_t>(at), data.end());
  return out;
}

Bytes bytes_of(const torch::Tensor& tensor) {
  const auto* first = static_cast<const uint8_t*>(tensor.const_data_ptr());
  return {first, first + tensor.nbytes()};
}

// A filter as a file names it, and what it makes of a chunk.
struct Codec {
  H5Z_filter_t id;
  std::vector<unsigned> parameters;
  std::function<Bytes(const Bytes&)> apply;
};

class CodecsTest : public FilesTest {
 protected:
  // 100 rows of 7 elements in chunks of 16 rows, each of which is stored as the filters make it.
  std::string make_filtered(const std::string& name, hid_t type, const torch::Tensor& values,
                            const std::vector<Codec>& codecs) const {
    const auto guard = hdf5::lock();
    const hdf5::Handle file = hdf5::create_file(path(name));
    const hdf5::Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const hsize_t shape[] = {100, 7}, chunk[] = {16, 7};
    H5Pset_chunk(layout.get(), 2, chunk);
    for (const Codec& codec : codecs)  // optional: only their numbers are needed here
      H5Pset_filter(layout.get(), codec.id, H5Z_FLAG_OPTIONAL, codec.parameters.size(),
                    codec.parameters.data());
    const hdf5::Handle space(H5Screate_simple(2, shape, nullptr), H5Sclose);
    const hdf5::Handle x(
        H5Dcreate2(file.get(), "x", type, space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT), H5Dclose);
    for (hsize_t row = 0; row < 100; row += 16) {
      torch::Tensor rows = torch::zeros({16, 7}, values.options());
      const torch::Tensor part = values.slice(0, static_cast<int64_t>(row), static_cast<int64_t>(row) + 16);
      rows.slice(0, 0, part.size(0)) = part;
      Bytes bytes = bytes_of(rows);
      for (const Codec& codec : codecs) bytes = codec.apply(bytes);
      const hsize_t first[] = {row, 0};
      EXPECT_GE(H5Dwrite_chunk(x.get(), H5P_DEFAULT, 0, first, bytes.size(), bytes.data()), 0);
    }
    return path(name);
  }

  void expect_read(const torch::Tensor& values, hid_t type, const std::vector<Codec>& codecs) const {
    static int number = 0;
    const std::string file = make_filtered(fmt::format("{}.h5", ++number), type, values, codecs);
    const auto guard = hdf5::lock();
    const auto reader = DataFile(file).reader("/x", torch::kFloat32);
    EXPECT_EQ(reader->access_method(), "directly");
    torch::Tensor ours = torch::empty({100, 7});
    reader->read(0, 100, ours.mutable_data_ptr());
    EXPECT_TRUE(torch::equal(ours, values.to(torch::kFloat32)));
  }
};

std::vector<std::vector<Codec>> pipelines(unsigned element_size) {
  const Codec shuffle{H5Z_FILTER_SHUFFLE, {element_size}, [=](const Bytes& in) {
                        const size_t n = in.size() / element_size;
                        Bytes out(in.size());
                        for (size_t i = 0; i < in.size(); ++i)
                          out[i % element_size * n + i / element_size] = in[i];
                        return out;
                      }};
  const Codec zstd_only{32015, {3}, [](const Bytes& in) { return zstd(in.data(), in.size()); }};
  const auto lz4_of = [](unsigned block) {
    return Codec{32004, {block}, [=](const Bytes& in) { return lz4(in, block); }};
  };
  const auto blosc_of = [=](const char* compressor, int mode) {
    return Codec{32001, {2, 2, element_size}, [=](const Bytes& in) {
                   return blosc(in, element_size, compressor, mode);
                 }};
  };
  const auto bits = [=](unsigned block, unsigned compression) {
    std::function<Bytes(const uint8_t*, size_t)> compress;
    if (compression == 2) compress = lz4_block;
    if (compression == 3) compress = zstd;
    const size_t usual = std::max<size_t>(8192 / element_size / 8 * 8, 128);
    return Codec{32008, {0, 4, element_size, block, compression}, [=](const Bytes& in) {
                   return bitshuffle(in, element_size, block == 0 ? usual : block, compress);
                 }};
  };
  return {{zstd_only},
          {shuffle, zstd_only},
          {lz4_of(1 << 30)},
          {shuffle, lz4_of(100)},
          {lz4_of(64), zstd_only},
          {blosc_of("blosclz", BLOSC_SHUFFLE)},
          {blosc_of("lz4", BLOSC_NOSHUFFLE)},
          {blosc_of("zstd", BLOSC_BITSHUFFLE)},
          {blosc_of("zlib", BLOSC_SHUFFLE)},
          {bits(0, 0)},
          {bits(0, 2)},
          {bits(0, 3)},
          {bits(16, 2)},
          {bits(24, 3)},
          {bits(0, 0), zstd_only}};
}

TEST(Bitshuffle, BlocksOfEverySizeAreUnshuffled) {
  std::mt19937 dice(2);
  for (const size_t element_size : std::vector<size_t>{1, 2, 3, 4, 8, 16})
    for (const size_t elements : std::vector<size_t>{7, 8, 504, 512, 520, 1037, 9000}) {
      Bytes data(elements * element_size);
      for (uint8_t& byte : data) byte = static_cast<uint8_t>(dice());
      const size_t block = std::max<size_t>(8192 / element_size / 8 * 8, 128);
      Bytes bytes = bitshuffle(data, element_size, block, {});
      undo_bitshuffle(bytes, element_size);
      EXPECT_EQ(bytes, data) << elements << " elements of " << element_size;
    }
}

TEST_F(CodecsTest, ChunksOfEveryFilterAreReadDirectly) {
  std::mt19937 dice(1);
  torch::Tensor numbers = torch::empty({100, 7}, torch::kFloat64);
  for (int64_t i = 0; i < numbers.numel(); ++i)
    numbers.mutable_data_ptr<double>()[i] = static_cast<double>(dice() % 200);
  for (const auto& [type, stored] : {std::pair{torch::kUInt8, H5T_STD_U8LE},
                                     {torch::kInt16, H5T_STD_I16LE},
                                     {torch::kFloat32, H5T_IEEE_F32LE},
                                     {torch::kFloat64, H5T_IEEE_F64LE}}) {
    const auto all = pipelines(static_cast<unsigned>(torch::elementSize(type)));
    for (size_t i = 0; i < all.size(); ++i) {
      SCOPED_TRACE(fmt::format("{}, pipeline {}", torch::toString(type), i));
      expect_read(numbers.to(type), stored, all[i]);
    }
  }
}

TEST(Codecs, StreamsWrittenByHandAreDecoded) {
  const Bytes abcd{'a', 'b', 'c', 'd'};
  // RFC 8878: magic number, a single segment of 4 bytes, one last block, raw.
  Bytes stream{0x28, 0xB5, 0x2F, 0xFD, 0x20, 4, 4 << 3 | 1, 0, 0, 'a', 'b', 'c', 'd'};
  expand_zstd(stream, 4);
  EXPECT_EQ(stream, abcd);
  // Two blocks of the LZ4 filter, the second one as it is; a token of three literals in the first.
  stream = {0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 4, 0x30, 'a', 'b', 'c', 0, 0, 0, 1, 'd'};
  expand_lz4(stream, 4);
  EXPECT_EQ(stream, abcd);
  // Blosc: version 2, of LZ4's format 1, stored as it is (flag 2), elements of a byte, sizes, bytes.
  stream = {2, 1, 0x22, 1, 4, 0, 0, 0, 4, 0, 0, 0, 20, 0, 0, 0, 'a', 'b', 'c', 'd'};
  expand_blosc(stream, 4);
  EXPECT_EQ(stream, abcd);
  // Eight bytes 0 … 7: bit 0 is 10101010 from the first element on, bit 1 is 11001100, bit 2 is 11110000.
  stream = {0xAA, 0xCC, 0xF0, 0, 0, 0, 0, 0, 9};
  undo_bitshuffle(stream, 1);
  EXPECT_EQ(stream, (Bytes{0, 1, 2, 3, 4, 5, 6, 7, 9}));
}

TEST(Codecs, DamagedStreamsAreRefused) {
  Bytes data(3000);
  std::mt19937 dice(7);
  for (uint8_t& byte : data) byte = static_cast<uint8_t>(dice() % 5);
  using Expand = std::function<void(Bytes&)>;
  const std::vector<std::pair<Bytes, Expand>> streams{
      {zstd(data.data(), data.size()), [&](Bytes& in) { expand_zstd(in, data.size()); }},
      {lz4(data, 700), [&](Bytes& in) { expand_lz4(in, data.size()); }},
      {blosc(data, 4, "lz4", BLOSC_SHUFFLE), [&](Bytes& in) { expand_blosc(in, data.size()); }},
      {bitshuffle(data, 4, 64, zstd), [&](Bytes& in) { expand_bitshuffle_zstd(in, 4, data.size()); }},
      {bitshuffle(data, 4, 64, lz4_block), [&](Bytes& in) { expand_bitshuffle_lz4(in, 4, data.size()); }}};
  for (size_t i = 0; i < streams.size(); ++i) {
    SCOPED_TRACE(i);
    const Bytes& stream = streams[i].first;
    const Expand& expand = streams[i].second;
    Bytes whole = stream;
    expand(whole);
    EXPECT_EQ(whole, data);
    for (const size_t kept :
         {size_t{0}, size_t{3}, size_t{11}, size_t{13}, stream.size() / 2, stream.size() - 1}) {
      Bytes cut(stream.begin(), stream.begin() + static_cast<int64_t>(kept));
      const auto refuse_other_sizes = [&] {
        expand(cut);
        if (cut.size() != data.size()) throw std::runtime_error("as undo_filters() does");
      };
      EXPECT_THROW(refuse_other_sizes(), std::runtime_error) << kept;
    }
    // Flipped bytes: an error or other bytes, never an access outside of the buffers (checked by the
    // sanitizers).
    for (int turn = 0; turn < 300; ++turn) {
      Bytes flipped = stream;
      flipped[dice() % flipped.size()] ^= static_cast<uint8_t>(1U << dice() % 8);
      try {
        expand(flipped);
        EXPECT_LE(flipped.size(), data.size());
      } catch (const std::runtime_error&) {
      }
    }
  }
}

TEST_F(CodecsTest, ADamagedChunkNamesItsRows) {
  const torch::Tensor values = torch::ones({100, 7});
  const std::string file = make_filtered("x.h5", H5T_IEEE_F32LE, values, {{32015, {3}, [](const Bytes&) {
                                                                             return Bytes{1, 2, 3, 4, 5};
                                                                           }}});
  const auto reader = DataFile(file).reader("/x", torch::kFloat32);
  torch::Tensor x = torch::empty({100, 7});
  EXPECT_THAT([&] { reader->read(40, 1, x.mutable_data_ptr()); },
              testing::ThrowsMessage<Error>(
                  testing::AllOf(testing::HasSubstr("rows 32 to 47"), testing::HasSubstr("zstd"))));
}

}  // namespace
}  // namespace elbo
