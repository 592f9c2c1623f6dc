// Rows that links and virtual datasets lead to: those of the right file, or an error that names what is
// missing.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "elbo/base/error.h"
#include "elbo/hdf5/data_file.h"
#include "files.h"

namespace elbo {
namespace {

using hdf5::Handle;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LinkedFilesTest : public FilesTest {
 protected:
  // Rows of different values in different files.
  static torch::Tensor rows(int64_t first, int64_t count) {
    return torch::arange(3 * first, 3 * (first + count), torch::kFloat32).reshape({count, 3});
  }

  static torch::Tensor read(const DataFile& file, const std::string& dataset) {
    const auto guard = hdf5::lock();
    torch::Tensor x = torch::empty(file.describe(dataset).shape);
    file.reader(dataset, torch::kFloat32)->read(0, x.size(0), x.mutable_data_ptr());
    return x;
  }

  static std::string error_of(const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
      return error.what();
    }
    return "no error";
  }

  // A file with a virtual dataset (rows, 3), float32, with the fill value 7.
  struct Mapping {
    std::string file, dataset;
    int64_t first, count, source_rows, source_first = 0;  // source_rows 0: all rows, however many
  };
  std::string make_virtual(const std::string& name, int64_t rows,
                           const std::vector<Mapping>& mappings) const {
    const auto guard = hdf5::lock();
    const Handle file = open_latest(name);
    const Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const float fill = 7;
    H5Pset_fill_value(layout.get(), H5T_NATIVE_FLOAT, &fill);
    const Handle space = plane(rows, 0, rows), everything = plane(10, 0, 10);
    H5Sselect_all(everything.get());
    for (const Mapping& m : mappings)
      H5Pset_virtual(
          layout.get(), plane(rows, m.first, m.count).get(), m.file.c_str(), m.dataset.c_str(),
          m.source_rows == 0 ? everything.get() : plane(m.source_rows, m.source_first, m.count).get());
    create(file, "x", space, layout);
    return path(name);
  }

  Handle open_latest(const std::string& name) const {
    const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    return {H5Fcreate(path(name).c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose};
  }

  static void create(const Handle& file, const char* name, const Handle& space, const Handle& layout) {
    const Handle made(
        H5Dcreate2(file.get(), name, H5T_IEEE_F32LE, space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT),
        H5Dclose);
    ASSERT_TRUE(made);
  }

  // A space (rows, 3) with some rows selected.
  static Handle plane(int64_t rows, int64_t first, int64_t count) {
    const hsize_t shape[] = {static_cast<hsize_t>(rows), 3}, start[] = {static_cast<hsize_t>(first), 0},
                  size[] = {static_cast<hsize_t>(count), 3};
    Handle space(H5Screate_simple(2, shape, nullptr), H5Sclose);
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, size, nullptr);
    return space;
  }
};

TEST_F(LinkedFilesTest, RowsBehindAnExternalLinkAreThoseOfItsFile) {
  const torch::Tensor there = rows(100, 40);
  for (const int64_t chunk_rows : {0, 10}) {
    const std::string name = fmt::format("other{}.h5", chunk_rows);
    make(name, {{"rows", there}, {"/group/x", there}}, "", chunk_rows);
    // The main file has other numbers wherever the other one has its rows.
    const std::string main =
        make(fmt::format("main{}.h5", chunk_rows), {{"decoy", torch::full({4000, 3}, -1.0F)}});
    {
      const Handle file(H5Fopen(main.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
      H5Lcreate_external(name.c_str(), "/rows", file.get(), "x", H5P_DEFAULT, H5P_DEFAULT);
      H5Lcreate_external(name.c_str(), "/group", file.get(), "train", H5P_DEFAULT, H5P_DEFAULT);
      H5Lcreate_soft("/train/x", file.get(), "soft", H5P_DEFAULT, H5P_DEFAULT);
      H5Lcreate_hard(file.get(), "decoy", file.get(), "hard", H5P_DEFAULT, H5P_DEFAULT);
    }
    const DataFile file(main);
    for (const char* dataset : {"/x", "/train/x", "/soft"}) {
      SCOPED_TRACE(dataset);
      EXPECT_TRUE(torch::equal(read(file, dataset), there));
      EXPECT_EQ(file.reader(dataset, torch::kFloat32)->access_method(), "directly");
    }
    EXPECT_EQ(read(file, "/hard").max().item<float>(), -1);
  }
}

TEST_F(LinkedFilesTest, CompactRowsBehindAnExternalLinkAreThoseOfItsFile) {
  {
    const Handle file = hdf5::create_file(path("other.h5"));
    const Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_layout(layout.get(), H5D_COMPACT);
    create(file, "rows", plane(5, 0, 5), layout);
    const Handle x = hdf5::open_dataset(file, "rows");
    const torch::Tensor values = rows(1, 5);
    H5Dwrite(x.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.const_data_ptr());
    const Handle main = hdf5::create_file(path("main.h5"));
    H5Lcreate_external("other.h5", "rows", main.get(), "x", H5P_DEFAULT, H5P_DEFAULT);
  }
  EXPECT_TRUE(torch::equal(read(DataFile(path("main.h5")), "/x"), rows(1, 5)));
}

TEST_F(LinkedFilesTest, AChangeOfTheFileBehindALinkIsFound) {
  make("other.h5", {{"rows", rows(0, 40)}});
  {
    const Handle main = hdf5::create_file(path("main.h5"));
    H5Lcreate_external("other.h5", "rows", main.get(), "x", H5P_DEFAULT, H5P_DEFAULT);
  }
  const DataFile file(path("main.h5"));
  const auto reader = file.reader("/x", torch::kFloat32);
  reader->require_unchanged();
  std::filesystem::resize_file(path("other.h5"), 100);
  EXPECT_THAT([&] { reader->require_unchanged(); },
              testing::ThrowsMessage<Error>(AllOf(HasSubstr("other.h5"), HasSubstr("changed"))));
}

TEST_F(LinkedFilesTest, ALinkThatLeadsNowhereNamesItsTarget) {
  make("other.h5", {{"rows", rows(0, 4)}});
  const std::string main = make("main.h5", {{"decoy", rows(0, 4)}});
  {
    const Handle file(H5Fopen(main.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    H5Lcreate_external("gone.h5", "/rows", file.get(), "a", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("other.h5", "/absent", file.get(), "b", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/nothing", file.get(), "c", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("a", file.get(), "d", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("e", file.get(), "e", H5P_DEFAULT, H5P_DEFAULT);
  }
  const Handle file = hdf5::open_file(main);
  const auto error = [&](const char* link) { return error_of([&] { hdf5::exists(file, link); }); };
  EXPECT_THAT(error("/a"), AllOf(HasSubstr("main.h5"), HasSubstr("/rows of gone.h5: no such file")));
  EXPECT_THAT(error("/a/x"), HasSubstr("gone.h5"));
  EXPECT_THAT(error("/b"),
              AllOf(HasSubstr("/absent of"), HasSubstr("other.h5"), HasSubstr("no such object")));
  EXPECT_THAT(error("/c"), AllOf(HasSubstr("/nothing"), HasSubstr("does not exist")));
  EXPECT_THAT(error("/d"), HasSubstr("gone.h5"));
  EXPECT_THAT(error("/e"), HasSubstr("/e is a link"));
  EXPECT_TRUE(hdf5::leads_nowhere(file, "/a"));
  EXPECT_FALSE(hdf5::leads_nowhere(file, "/decoy"));
  EXPECT_FALSE(hdf5::exists(file, "/f"));
}

TEST_F(LinkedFilesTest, AVirtualDatasetIsReadFromItsSources) {
  for (int64_t k = 0; k < 3; ++k)
    make(fmt::format("part{}.h5", k), {{"x", rows(10 * k, 10)}}, "", k == 1 ? 4 : 0);
  make_virtual("all.h5", 30,
               {{"part0.h5", "x", 0, 10, 10}, {"part1.h5", "x", 10, 10, 0}, {"part2.h5", "x", 20, 10, 10}});
  const DataFile file(path("all.h5"));
  EXPECT_TRUE(torch::equal(read(file, "/x"), rows(0, 30)));
  const auto reader = file.reader("/x", torch::kFloat32);
  EXPECT_EQ(reader->access_method(), "directly");
  torch::Tensor some = torch::empty({17, 3});
  reader->read(8, 17, some.mutable_data_ptr());
  EXPECT_TRUE(torch::equal(some, rows(8, 17)));
  EXPECT_THAT(file.unwritten_rows(), IsEmpty());
}

TEST_F(LinkedFilesTest, SourcesMayGiveSomeOfTheirRowsAndBeVirtualThemselves) {
  make("part.h5", {{"x", rows(0, 30)}});
  make_virtual("inner.h5", 20, {{"part.h5", "x", 0, 12, 30, 5}, {"part.h5", "x", 12, 8, 30, 22}});
  make_virtual("outer.h5", 12, {{"inner.h5", "x", 0, 6, 20, 9}, {"inner.h5", "x", 6, 6, 20, 0}});
  const torch::Tensor inner = torch::cat({rows(5, 12), rows(22, 8)});
  EXPECT_TRUE(torch::equal(read(DataFile(path("inner.h5")), "/x"), inner));
  EXPECT_TRUE(torch::equal(read(DataFile(path("outer.h5")), "/x"),
                           torch::cat({inner.slice(0, 9, 15), inner.slice(0, 0, 6)})));
}

TEST_F(LinkedFilesTest, AMissingSourceIsNamed) {
  for (int64_t k = 0; k < 2; ++k) make(fmt::format("part{}.h5", k), {{"x", rows(10 * k, 10)}});
  make_virtual("all.h5", 20, {{"part0.h5", "x", 0, 10, 10}, {"part1.h5", "x", 10, 10, 10}});
  make_virtual("outer.h5", 20, {{"all.h5", "x", 0, 20, 20}});
  make_virtual("names.h5", 10, {{"part0.h5", "y", 0, 10, 10}});
  make_virtual("small.h5", 20, {{"part0.h5", "x", 0, 20, 20}});
  make("short.h5", {{"x", rows(0, 9)}});
  make_virtual("shrunk.h5", 10, {{"short.h5", "x", 0, 10, 0}});
  const auto error = [&](const char* name) { return error_of([&] { read(DataFile(path(name)), "/x"); }); };
  EXPECT_THAT(error("names.h5"),
              AllOf(HasSubstr("dataset y of"), HasSubstr("part0.h5"), HasSubstr("does not exist")));
  EXPECT_THAT(error("small.h5"), AllOf(HasSubstr("part0.h5"), HasSubstr("does not fit")));
  EXPECT_THAT(error("shrunk.h5"), AllOf(HasSubstr("short.h5"), HasSubstr("does not fit")));
  std::filesystem::rename(path("part1.h5"), path("away.h5"));
  EXPECT_THAT(error("all.h5"), AllOf(HasSubstr("all.h5: /x"), HasSubstr("rows 10 to 19"),
                                     HasSubstr("part1.h5: no such file")));
  EXPECT_THAT(error("outer.h5"), HasSubstr("part1.h5: no such file"));
  std::filesystem::copy_file(path("away.h5"), path("part1.h5"));
  std::filesystem::resize_file(path("part1.h5"), 300);
  EXPECT_THAT(error("all.h5"), AllOf(HasSubstr("part1.h5"), HasSubstr("damaged")));
}

TEST_F(LinkedFilesTest, AVirtualDatasetThatIsItsOwnSourceIsRefused) {
  make_virtual("own.h5", 10, {{".", "x", 0, 10, 10}});
  EXPECT_THAT(error_of([&] { read(DataFile(path("own.h5")), "/x"); }), HasSubstr("virtual"));
}

TEST_F(LinkedFilesTest, SourcesAreFoundInTheFolderOfTheVirtualDatasetAndInThatOfTheVariable) {
  std::filesystem::create_directories(path("data"));
  std::filesystem::create_directories(path("elsewhere"));
  make("data/part.h5", {{"x", rows(3, 10)}});
  make_virtual("data/all.h5", 10, {{"part.h5", "x", 0, 10, 10}});
  EXPECT_TRUE(torch::equal(read(DataFile(path("data/all.h5")), "/x"), rows(3, 10)));
  std::filesystem::rename(path("data/part.h5"), path("elsewhere/part.h5"));
  ::setenv("HDF5_VDS_PREFIX", (path("none") + ":${ORIGIN}/../elsewhere").c_str(), 1);
  EXPECT_TRUE(torch::equal(read(DataFile(path("data/all.h5")), "/x"), rows(3, 10)));
  ::unsetenv("HDF5_VDS_PREFIX");
}

TEST_F(LinkedFilesTest, RowsThatNoSourceHasAreCountedAndReadAsTheFillValue) {
  make("part.h5", {{"x", rows(0, 10)}});
  make_virtual("all.h5", 40, {{"part.h5", "x", 5, 10, 10}, {"part.h5", "x", 20, 10, 10}});
  const DataFile file(path("all.h5"));
  const torch::Tensor sevens = torch::full({5, 3}, 7.0F);
  const torch::Tensor expected = torch::cat({sevens, rows(0, 10), sevens, rows(0, 10), sevens, sevens});
  EXPECT_TRUE(torch::equal(read(file, "/x"), expected));
  EXPECT_THAT(file.unwritten_rows(), ElementsAre(AllOf(HasSubstr("20 of 40 rows"), HasSubstr("rows 0 to 4"),
                                                       HasSubstr("fill value 7"))));
}

TEST_F(LinkedFilesTest, PartsOfRowsAreReadThroughTheLibrary) {
  make("part.h5", {{"x", rows(0, 10)}});
  {
    const auto guard = hdf5::lock();
    const Handle file = open_latest("halves.h5");
    const Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    // Every second row, and the first two columns of the others.
    const hsize_t shape[] = {20, 3}, start[] = {0, 0}, odd[] = {1, 0}, stride[] = {2, 1}, count[] = {10, 3},
                  narrow[] = {10, 2};
    const Handle space(H5Screate_simple(2, shape, nullptr), H5Sclose);
    const Handle evens(H5Scopy(space.get()), H5Sclose), odds(H5Scopy(space.get()), H5Sclose);
    H5Sselect_hyperslab(evens.get(), H5S_SELECT_SET, start, stride, count, nullptr);
    H5Sselect_hyperslab(odds.get(), H5S_SELECT_SET, odd, stride, narrow, nullptr);
    const Handle source = plane(10, 0, 10), columns = plane(10, 0, 10);
    H5Sselect_hyperslab(columns.get(), H5S_SELECT_SET, start, nullptr, narrow, nullptr);
    H5Pset_virtual(layout.get(), evens.get(), "part.h5", "x", source.get());
    H5Pset_virtual(layout.get(), odds.get(), "part.h5", "x", columns.get());
    create(file, "x", space, layout);
  }
  const DataFile file(path("halves.h5"));
  torch::Tensor expected = torch::zeros({20, 3});
  expected.slice(0, 0, 20, 2) = rows(0, 10);
  expected.slice(0, 1, 20, 2).slice(1, 0, 2) = rows(0, 10).slice(1, 0, 2);
  EXPECT_TRUE(torch::equal(read(file, "/x"), expected));
  EXPECT_THAT(file.reader("/x", torch::kFloat32)->access_method(), HasSubstr("library"));
  EXPECT_THAT(file.unwritten_rows(),
              ElementsAre(AllOf(HasSubstr("10 of 20 rows"), HasSubstr("rows 1 to 1"))));
  // The library would read zeros.
  const auto reader = file.reader("/x", torch::kFloat32);
  std::filesystem::remove(path("part.h5"));
  EXPECT_THAT([&] { reader->read(0, 20, expected.mutable_data_ptr()); },
              testing::ThrowsMessage<Error>(HasSubstr("part.h5")));
}

TEST_F(LinkedFilesTest, NumberedSourcesMustHaveNoGap) {
  for (int64_t k = 0; k < 3; ++k) make(fmt::format("n{}.h5", k), {{"x", rows(10 * k, 10)}});
  {
    const auto guard = hdf5::lock();
    const Handle file = open_latest("all.h5");
    const Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const hsize_t shape[] = {0, 3}, limit[] = {H5S_UNLIMITED, 3}, start[] = {0, 0}, stride[] = {10, 3},
                  count[] = {H5S_UNLIMITED, 1}, block[] = {10, 3};
    const Handle space(H5Screate_simple(2, shape, limit), H5Sclose);
    const Handle blocks(H5Scopy(space.get()), H5Sclose);
    H5Sselect_hyperslab(blocks.get(), H5S_SELECT_SET, start, stride, count, block);
    H5Pset_virtual(layout.get(), blocks.get(), "n%b.h5", "x", plane(10, 0, 10).get());
    create(file, "x", space, layout);
  }
  EXPECT_TRUE(torch::equal(read(DataFile(path("all.h5")), "/x"), rows(0, 30)));
  std::filesystem::remove(path("n1.h5"));
  EXPECT_THAT(error_of([&] { read(DataFile(path("all.h5")), "/x"); }),
              AllOf(HasSubstr("n1.h5 is missing"), HasSubstr("n2.h5")));
}

TEST_F(LinkedFilesTest, RowsThatWereNeverWrittenAreCounted) {
  {
    const Handle file = hdf5::create_file(path("holes.h5"));
    const Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    create(file, "never", plane(6, 0, 6), layout);
    const hsize_t chunk[] = {4, 2};
    H5Pset_chunk(layout.get(), 2, chunk);
    H5Pset_deflate(layout.get(), 1);
    create(file, "chunked", plane(18, 0, 18), layout);
    H5Pset_scaleoffset(layout.get(), H5Z_SO_FLOAT_DSCALE, 2);
    create(file, "scaled", plane(18, 0, 18), layout);
    const torch::Tensor values = rows(0, 8);
    for (const char* name : {"chunked", "scaled"}) {
      const Handle x = hdf5::open_dataset(file, name);
      H5Dwrite(x.get(), H5T_NATIVE_FLOAT, plane(8, 0, 8).get(), plane(18, 4, 8).get(), H5P_DEFAULT,
               values.const_data_ptr());
    }
  }
  const DataFile file(path("holes.h5"));
  EXPECT_THAT(file.unwritten_rows("/never"), ElementsAre(HasSubstr("6 of 6 rows were never written")));
  for (const char* name : {"/chunked", "/scaled"})
    EXPECT_THAT(file.unwritten_rows(name),
                ElementsAre(AllOf(HasSubstr("10 of 18 rows were never written"), HasSubstr("rows 0 to 3"))));
}

TEST_F(LinkedFilesTest, AnExternalFileOfRowsMustHaveThem) {
  {
    const Handle file = hdf5::create_file(path("main.h5"));
    const Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_external(layout.get(), path("raw.bin").c_str(), 0, 10 * 3 * sizeof(float));
    create(file, "x", plane(10, 0, 10), layout);
  }
  const auto error = [&] { return error_of([&] { read(DataFile(path("main.h5")), "/x"); }); };
  EXPECT_THAT(error(), AllOf(HasSubstr("raw.bin"), HasSubstr("No such file")));
  std::ofstream(path("raw.bin")) << "short";
  EXPECT_THAT(error(), AllOf(HasSubstr("raw.bin"), HasSubstr("has 5 bytes; expected at least 120")));
}

TEST_F(LinkedFilesTest, AnOpenFileTakesOneDescriptorAndTooManyAreRefused) {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const std::string name = make("x.h5", {{"x", rows(0, 10)}}), other = make("y.h5", {{"x", rows(0, 10)}});
  const auto before = descriptors();
  const DataFile file(name);
  read(file, "/x");
  EXPECT_EQ(descriptors() - before, 1);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit low{.rlim_cur = static_cast<rlim_t>(before) + 10, .rlim_max = limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &low);
  EXPECT_THAT(error_of([&] { const DataFile too_many(other); }),
              AllOf(HasSubstr("y.h5"), HasSubstr("ulimit -n")));
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

TEST_F(LinkedFilesTest, AReaderOutlivesItsFile) {
  make("x.h5", {{"x", rows(0, 10)}});
  const auto reader = DataFile(path("x.h5")).reader("/x", torch::kFloat32);
  torch::Tensor x = torch::empty({10, 3});
  reader->read(0, 10, x.mutable_data_ptr());
  EXPECT_TRUE(torch::equal(x, rows(0, 10)));
}

}  // namespace
}  // namespace elbo
