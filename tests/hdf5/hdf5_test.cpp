#include "elbo/hdf5/hdf5.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>

#include "elbo/base/error.h"
#include "files.h"

namespace elbo::hdf5 {
namespace {

class Hdf5Test : public elbo::FilesTest {};

TEST_F(Hdf5Test, TensorsOfEveryTypeRoundTrip) {
  const Handle file = create_file(path("t.h5"), 512);
  for (const auto type : {torch::kFloat32, torch::kFloat64, torch::kInt64, torch::kInt32, torch::kUInt8}) {
    const std::string name = std::string("/group/") + torch::toString(type);
    const torch::Tensor tensor = torch::arange(24, type).reshape({4, 3, 2});
    write_tensor(file, name, tensor, 2, 5);
    const torch::Tensor back = read_tensor(open_dataset(file, name));
    EXPECT_EQ(back.scalar_type(), type);
    EXPECT_TRUE(torch::equal(back, tensor));
  }
  write_tensor(file, "/scalar", torch::tensor(2.5));
  EXPECT_EQ(read_tensor(open_dataset(file, "/scalar")).dim(), 0);
  EXPECT_EQ(read_tensor(open_dataset(file, "/scalar")).item<float>(), 2.5F);
}

TEST_F(Hdf5Test, RowsCanBeAppended) {
  const Handle file = create_file(path("rows.h5"));
  const Handle rows = create_rows(file, "/x", {3}, torch::kFloat32, 4, 1);
  append(rows, torch::ones({5, 3}));
  append(rows, torch::full({2, 3}, 2.0F));
  const torch::Tensor all = read_tensor(rows);
  EXPECT_EQ(all.sizes(), (std::vector<int64_t>{7, 3}));
  EXPECT_EQ(all[4][0].item<float>(), 1);
  EXPECT_EQ(all[5][2].item<float>(), 2);
}

TEST_F(Hdf5Test, AttributesOfAnyLengthRoundTrip) {
  const Handle file = create_file(path("a.h5"));
  const Handle root = open_group(file, "/");
  const std::string text(200000, 'x');  // beyond what HDF5 keeps inside an object's header
  write_attribute(root, "text", text);
  write_attribute(root, "number", int64_t{1} << 40);
  write_attribute(root, "real", 0.1);
  EXPECT_EQ(read_text_attribute(root, "text"), text);
  EXPECT_EQ(read_integer_attribute(root, "number"), int64_t{1} << 40);
  EXPECT_EQ(read_double_attribute(root, "real"), 0.1);
  EXPECT_FALSE(read_text_attribute(root, "none"));
  EXPECT_FALSE(read_integer_attribute(root, "text"));
}

TEST_F(Hdf5Test, ExistsDoesNotThrow) {
  const Handle file = create_file(path("e.h5"));
  write_tensor(file, "/a/b/c", torch::zeros({2}));
  EXPECT_TRUE(exists(file, "/a/b/c"));
  EXPECT_TRUE(is_group(file, "/a/b"));
  EXPECT_FALSE(is_group(file, "/a/b/c"));
  EXPECT_FALSE(exists(file, "/a/x/c"));
  EXPECT_EQ(list(file, "/a"), std::vector<std::string>{"b"});
}

TEST_F(Hdf5Test, ErrorsNameFileObjectAndHdf5sReason) {
  const Handle file = create_file(path("f.h5"));
  write_tensor(file, "/x", torch::zeros({2, 2}));
  const Handle x = open_dataset(file, "/x");
  try {
    float out[8];
    read_rows(x, 1, 2, H5T_NATIVE_FLOAT, out);
    FAIL() << "there is no row 2";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("f.h5: /x"), testing::HasSubstr("rows 1 to 2")));
  }
  EXPECT_THROW(create_file(path("f.h5")), Error);
}

// No file may grow beyond this many bytes while it lives: as on a full disk, but only for a moment.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);  // as main() does
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

TEST_F(Hdf5Test, DataLostWhenADatasetIsClosedFailItsFileAndNoOther) {
  const Handle full = create_file(path("full.h5"));
  {
    Handle rows = create_rows(full, "/x", {1 << 16}, torch::kFloat32, 1, 0);
    append(rows, torch::ones({2, 1 << 16}));  // two chunks, which HDF5 keeps in memory
    const FileSizeLimit limit(4096);
    rows = Handle();
  }
  EXPECT_THROW(write_out(full, path("full.h5")), Error);
  const Handle other = create_file(path("other.h5"));
  write_tensor(other, "/x", torch::ones({3}));
  EXPECT_NO_THROW(write_out(other, path("other.h5")));
}

}  // namespace
}  // namespace elbo::hdf5
