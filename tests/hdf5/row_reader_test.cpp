#include "elbo/hdf5/row_reader.h"

#include <gmock/gmock.h>
#include <torch/types.h>

#include <array>
#include <fstream>
#include <random>

#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/decode.h"
#include "files.h"

namespace elbo {
namespace {

using hdf5::Handle;

// The properties of a dataset, which the HDF5 library writes.
struct Recipe {
  hid_t type = H5T_IEEE_F32LE;
  std::vector<hsize_t> shape{50, 6};
  std::vector<hsize_t> chunk{};  // empty: contiguous
  std::string filters{};         // s: shuffle, d: deflate, f: Fletcher-32, in the order of application
  bool extendible = false;
  bool in_every_dimension = false;  // extendible
  bool newest = false;              // version of the file format
  bool user_block = false;          // of 512 bytes
  bool compact = false;
  hsize_t written = 0;  // rows; 0: all
  double fill = 7;
};

class RowReaderTest : public FilesTest {
 protected:
  // Values are small whole numbers, which every type can represent.
  std::string make_file(const Recipe& recipe, uint32_t seed) const {
    const auto guard = hdf5::lock();
    const std::string name = path(fmt::format("{}.h5", seed));
    const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose), access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    if (recipe.user_block) H5Pset_userblock(creation.get(), 512);
    if (recipe.newest) H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    const Handle file(H5Fcreate(name.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose);
    const Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    if (!recipe.chunk.empty())
      H5Pset_chunk(layout.get(), static_cast<int>(recipe.chunk.size()), recipe.chunk.data());
    if (recipe.compact) H5Pset_layout(layout.get(), H5D_COMPACT);
    for (const char filter : recipe.filters) {
      if (filter == 's') H5Pset_shuffle(layout.get());
      if (filter == 'd') H5Pset_deflate(layout.get(), 4);
      if (filter == 'f') H5Pset_fletcher32(layout.get());
    }
    H5Pset_fill_value(layout.get(), H5T_NATIVE_DOUBLE, &recipe.fill);
    std::vector<hsize_t> limit = recipe.shape;
    if (recipe.extendible) limit.front() = H5S_UNLIMITED;
    if (recipe.in_every_dimension) limit.assign(limit.size(), H5S_UNLIMITED);
    const auto rank = static_cast<int>(recipe.shape.size());
    const Handle space(H5Screate_simple(rank, recipe.shape.data(), limit.data()), H5Sclose);
    const Handle dataset(
        H5Dcreate2(file.get(), "x", recipe.type, space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT),
        H5Dclose);

    std::vector<hsize_t> first(recipe.shape.size(), 0), count = recipe.shape;
    if (recipe.written > 0) count.front() = recipe.written;
    hsize_t elements = 1;
    for (const hsize_t size : count) elements *= size;
    std::mt19937 dice(seed);
    std::vector<double> values(elements);
    for (double& value : values) value = static_cast<double>(dice() % 100);
    const Handle memory(H5Screate_simple(rank, count.data(), nullptr), H5Sclose);
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, first.data(), nullptr, count.data(), nullptr);
    EXPECT_GE(
        H5Dwrite(dataset.get(), H5T_NATIVE_DOUBLE, memory.get(), space.get(), H5P_DEFAULT, values.data()), 0);
    return name;
  }

  static std::shared_ptr<const RowReader> open(const std::string& file, torch::ScalarType type) {
    const auto guard = hdf5::lock();
    return DataFile(file).reader("/x", type);
  }

  // The direct reader and the library read the same numbers, for any range of rows.
  static void expect_equal(const std::string& file, torch::ScalarType type, uint32_t seed) {
    const std::shared_ptr<const RowReader> direct = open(file, type);
    EXPECT_EQ(direct->access_method(), "directly");
    const Handle dataset = hdf5::open_dataset(hdf5::open_file(file), "/x");
    const std::vector<int64_t> shape = hdf5::describe(dataset).shape;
    std::mt19937 dice(seed);
    for (int turn = 0; turn < 12; ++turn) {
      const auto roll = [&](int64_t sides) { return static_cast<int64_t>(dice()) % sides; };
      const int64_t first = roll(shape[0]);
      const int64_t count = turn == 0 ? shape[0] - first : 1 + roll(shape[0] - first);
      std::vector<int64_t> size = shape;
      size.front() = count;
      torch::Tensor ours = torch::full(size, 99, type), theirs = torch::full(size, 98, type);
      direct->read(first, count, ours.mutable_data_ptr());
      hdf5::read_rows(dataset, first, count, hdf5_type(type), theirs.mutable_data_ptr());
      ASSERT_TRUE(torch::equal(ours, theirs)) << "rows " << first << ", " << count;
    }
  }

  static hid_t hdf5_type(torch::ScalarType type) {
    return type == torch::kUInt8     ? H5T_NATIVE_UINT8
           : type == torch::kInt64   ? H5T_NATIVE_INT64
           : type == torch::kFloat64 ? H5T_NATIVE_DOUBLE
                                     : H5T_NATIVE_FLOAT;
  }
};

TEST_F(RowReaderTest, ReadsEveryTypeAsTheLibraryDoes) {
  uint32_t seed = 0;
  for (const hid_t type :
       {H5T_STD_U8LE, H5T_STD_I8LE, H5T_STD_U16BE, H5T_STD_I16LE, H5T_STD_U32LE, H5T_STD_I32BE, H5T_STD_U64BE,
        H5T_STD_I64LE, H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_IEEE_F64BE}) {
    for (const std::string filters : {"", "sd"}) {
      const std::string file = make_file({.type = type, .chunk = {8, 6}, .filters = filters}, ++seed);
      expect_equal(file, torch::kFloat32, seed);
      expect_equal(file, torch::kFloat64, seed);
      if (H5Tget_class(type) == H5T_INTEGER) expect_equal(file, torch::kInt64, seed);
      if (type == H5T_STD_U8LE) expect_equal(file, torch::kUInt8, seed);
    }
  }
}

TEST_F(RowReaderTest, ReadsBinary16AndBfloat16) {
  for (const bool brain : {false, true}) {
    const Handle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
    const size_t exponent = brain ? 8 : 5, mantissa = 15 - exponent;
    H5Tset_fields(type.get(), 15, mantissa, exponent, 0, mantissa);
    H5Tset_size(type.get(), 2);
    H5Tset_ebias(type.get(), brain ? 127 : 15);
    expect_equal(make_file({.type = type.get()}, brain ? 1 : 2), torch::kFloat32, 3);
  }
}

// An enumeration whose values are those of the integer type.
Handle enumeration(hid_t integers, const std::vector<int64_t>& values) {
  Handle type(H5Tenum_create(integers), H5Tclose);
  for (const int64_t value : values) H5Tenum_insert(type.get(), fmt::format("V{}", value).c_str(), &value);
  return type;
}

TEST_F(RowReaderTest, ReadsEnumerationsAndBitsAsNumbers) {
  const auto guard = hdf5::lock();
  const Handle booleans = enumeration(H5T_STD_I8LE, {0, 1}), signs = enumeration(H5T_STD_I8LE, {-1, 1}),
               bytes = enumeration(H5T_STD_U8LE, {0, 200});
  struct Case {
    std::string name;
    hid_t type;
    int64_t low, high;
    bool is_bytes;
  };
  for (const Case& one : {Case{"bool", booleans.get(), 0, 1, true}, Case{"signs", signs.get(), -1, 1, false},
                          Case{"bytes", bytes.get(), 0, 200, true}, Case{"bits", H5T_STD_B8LE, 0, 1, true}}) {
    const std::string name = path(one.name);
    {
      const Handle file = hdf5::create_file(name);
      const std::array<hsize_t, 2> shape{5, 3};
      const Handle space(H5Screate_simple(2, shape.data(), nullptr), H5Sclose);
      const Handle dataset(
          H5Dcreate2(file.get(), "x", one.type, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
          H5Dclose);
      std::array<uint8_t, 15> stored{};
      for (size_t i = 0; i < stored.size(); ++i)
        stored[i] = static_cast<uint8_t>(i % 2 == 0 ? one.low : one.high);
      ASSERT_GE(H5Dwrite(dataset.get(), one.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, stored.data()), 0);
    }
    const torch::Tensor expected =
        torch::where(torch::arange(15).remainder(2) == 0, torch::tensor(one.low), torch::tensor(one.high))
            .reshape({5, 3});
    EXPECT_EQ(hdf5::describe(hdf5::open_dataset(hdf5::open_file(name), "/x")).bytes(), one.is_bytes)
        << one.name;
    for (const torch::ScalarType type : {torch::kFloat32, torch::kInt64, torch::kUInt8}) {
      if (type == torch::kUInt8 && !one.is_bytes) continue;
      expect_equal(name, type, 5);  // the library reads the same
      torch::Tensor read = torch::empty({5, 3}, type);
      open(name, type)->read(0, 5, read.mutable_data_ptr());
      EXPECT_TRUE(torch::equal(read, expected.to(type))) << one.name << ", " << torch::toString(type);
    }
  }
}

TEST_F(RowReaderTest, ReadsEveryLayoutAsTheLibraryDoes) {
  uint32_t seed = 100;
  for (const bool newest : {false, true})
    for (const bool extendible : {false, true})
      for (const std::string filters : {"", "d", "s", "f", "sdf", "fd"})
        for (const std::vector<hsize_t>& chunk : {std::vector<hsize_t>{1, 3, 5},
                                                  {7, 3, 5},
                                                  {50, 3, 5},
                                                  {64, 3, 5},
                                                  {4, 2, 3},
                                                  {16, 1, 5},
                                                  {200, 3, 5}}) {
          if (!extendible && chunk[0] > 100) continue;
          ++seed;
          const std::string file = make_file({.type = H5T_STD_U16LE,
                                              .shape = {100, 3, 5},
                                              .chunk = chunk,
                                              .filters = filters,
                                              .extendible = extendible,
                                              .newest = newest,
                                              .written = seed % 2 == 0 ? hsize_t{41} : 0},
                                             seed);
          SCOPED_TRACE(fmt::format("newest {} extendible {} filters {} chunk {}x{}x{}", newest, extendible,
                                   filters, chunk[0], chunk[1], chunk[2]));
          expect_equal(file, torch::kFloat32, seed);
        }
}

TEST_F(RowReaderTest, ReadsIndexesOfManyChunks) {
  uint32_t seed = 500;
  for (const bool newest : {false, true})
    for (const bool extendible : {false, true})
      for (const std::string filters : {"", "d"})
        for (const hsize_t rows : {hsize_t{300}, hsize_t{5000}, hsize_t{20000}}) {
          const std::string file = make_file({.type = H5T_STD_U8LE,
                                              .shape = {rows, 2},
                                              .chunk = {1, 2},
                                              .filters = filters,
                                              .extendible = extendible,
                                              .newest = newest,
                                              .written = rows - rows / 3},
                                             ++seed);
          SCOPED_TRACE(
              fmt::format("newest {} extendible {} filters {} rows {}", newest, extendible, filters, rows));
          expect_equal(file, torch::kUInt8, seed);
        }
}

TEST_F(RowReaderTest, ReadsIndexesInPages) {
  // The data blocks of an extensible array have pages from about 131,000 chunks on; some pages are never
  // written.
  constexpr hsize_t chunks = 200'000;
  const std::string file = make_file({.type = H5T_STD_U8LE,
                                      .shape = {chunks, 2},
                                      .chunk = {1, 2},
                                      .extendible = true,
                                      .newest = true,
                                      .written = 180'000},
                                     1);
  const std::shared_ptr<const RowReader> direct = open(file, torch::kUInt8);
  EXPECT_EQ(direct->access_method(), "directly");
  torch::Tensor ours = torch::empty({chunks, 2}, torch::kUInt8), theirs = torch::empty_like(ours);
  direct->read(0, chunks, ours.mutable_data_ptr());
  hdf5::read_rows(hdf5::open_dataset(hdf5::open_file(file), "/x"), 0, chunks, H5T_NATIVE_UINT8,
                  theirs.mutable_data_ptr());
  EXPECT_TRUE(torch::equal(ours, theirs));
}

TEST_F(RowReaderTest, ReadsDatasetsThatCanGrowAlongEveryDimension) {
  uint32_t seed = 800;
  for (const bool newest : {false, true})
    for (const std::string filters : {"", "sd"})
      for (const std::vector<hsize_t>& chunk : {std::vector<hsize_t>{7, 3, 5}, {4, 2, 3}, {1, 1, 1}}) {
        ++seed;
        const std::string file = make_file({.type = H5T_STD_U16LE,
                                            .shape = {1300, 3, 5},
                                            .chunk = chunk,
                                            .filters = filters,
                                            .in_every_dimension = true,
                                            .newest = newest,
                                            .written = seed % 2 == 0 ? hsize_t{1041} : 0},
                                           seed);
        SCOPED_TRACE(fmt::format("newest {} filters {} chunk of {} rows", newest, filters, chunk[0]));
        expect_equal(file, torch::kFloat32, seed);
      }
}

TEST_F(RowReaderTest, ReadsContiguousDatasetsAndFilesWithAUserBlock) {
  expect_equal(make_file({.shape = {33, 4, 2}}, 1), torch::kFloat32, 1);
  expect_equal(make_file({.shape = {33, 4}, .user_block = true}, 2), torch::kFloat32, 2);
  expect_equal(make_file({.shape = {33, 4}, .chunk = {5, 4}, .user_block = true}, 3), torch::kFloat32, 3);
}

TEST_F(RowReaderTest, ReadsCompactDatasets) {
  for (const bool newest : {false, true})
    for (const bool user_block : {false, true}) {
      const uint32_t seed = 1 + 2 * (newest ? 1 : 0) + (user_block ? 1 : 0);
      expect_equal(
          make_file({.shape = {33, 4}, .newest = newest, .user_block = user_block, .compact = true}, seed),
          torch::kFloat32, seed);
    }
}

TEST_F(RowReaderTest, OneProcessReadsTheChunkIndexForAll) {
  const std::string name = make_file({.shape = {40, 6}, .chunk = {10, 6}, .filters = "d"}, 1);
  const auto guard = hdf5::lock();
  std::vector<std::string> sent;
  const auto rows = [](const DataFile& file) {
    torch::Tensor x = torch::empty({40, 6});
    file.reader("/x", torch::kFloat32)->read(0, 40, x.mutable_data_ptr());
    return x;
  };
  const torch::Tensor first =
      rows(DataFile(name, [&](const auto& make) { return sent.emplace_back(make()); }));
  EXPECT_EQ(sent.size(), 1U);
  EXPECT_TRUE(torch::equal(rows(DataFile(name, [&](const auto&) { return sent.front(); })), first));

  // A reason to use the library is sent, too.
  const DataFile through_library(name, [](const auto&) { return "of a test"; });
  EXPECT_EQ(through_library.reader("/x", torch::kFloat32)->access_method(),
            "through the HDF5 library, because of a test");
  EXPECT_TRUE(torch::equal(rows(through_library), first));
}

TEST_F(RowReaderTest, UsesTheLibraryForUnsupportedTypesAndFilters) {
  const auto access_method = [&](const Recipe& recipe, uint32_t seed) {
    return open(make_file(recipe, seed), torch::kFloat32)->access_method();
  };
  const Handle odd(H5Tcopy(H5T_STD_I32LE), H5Tclose);
  H5Tset_precision(odd.get(), 24);
  EXPECT_THAT(access_method({.type = odd.get()}, 1), testing::HasSubstr("type"));

  const auto guard = hdf5::lock();
  const std::string name = path("scaled.h5");
  {
    const Handle file = hdf5::create_file(name);
    const Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const std::vector<hsize_t> shape{8, 2};
    H5Pset_chunk(layout.get(), 2, shape.data());
    H5Pset_scaleoffset(layout.get(), H5Z_SO_INT, 0);
    const Handle space(H5Screate_simple(2, shape.data(), nullptr), H5Sclose);
    const Handle dataset(
        H5Dcreate2(file.get(), "x", H5T_STD_I32LE, space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT),
        H5Dclose);
  }
  EXPECT_THAT(open(name, torch::kFloat32)->access_method(), testing::HasSubstr("filter"));
}

TEST_F(RowReaderTest, NamesTheRowsOfADamagedChunk) {
  const std::string file = make_file({.shape = {40, 6}, .chunk = {10, 6}, .filters = "sdf"}, 1);
  const std::shared_ptr<const RowReader> reader = open(file, torch::kFloat32);
  std::vector<float> rows(240);
  reader->read(0, 40, rows.data());
  {
    // Overwrites the last quarter of the file, which holds the later chunks.
    std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out | std::ios::ate);
    const auto size = static_cast<int64_t>(stream.tellp());
    stream.seekp(size * 3 / 4);
    for (int64_t i = size * 3 / 4; i < size; ++i) stream.put('\x5a');
  }
  try {
    reader->read(0, 40, rows.data());
    FAIL() << "the damage was not found";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr(file), testing::HasSubstr("/x"),
                                             testing::ContainsRegex("rows [0-9]+ to [0-9]+")));
  }
}

TEST(Decode, ConvertsBinary16AndBfloat16) {
  // 1.5 and the smallest subnormal of binary16; 1.5 of bfloat16.
  const uint16_t half[] = {0x3e00, 0x0001}, brain[] = {0x3fc0};
  float out[2];
  convert({.kind = ElementType::Kind::floating, .size = 2, .swapped = false, .brain_float = false},
          reinterpret_cast<const uint8_t*>(half), 2, torch::kFloat32, out);
  EXPECT_EQ(out[0], 1.5F);
  EXPECT_EQ(out[1], 0x1p-24F);
  convert({.kind = ElementType::Kind::floating, .size = 2, .swapped = false, .brain_float = true},
          reinterpret_cast<const uint8_t*>(brain), 1, torch::kFloat32, out);
  EXPECT_EQ(out[0], 1.5F);
}

}  // namespace
}  // namespace elbo
