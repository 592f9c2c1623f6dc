#include "elbo/data/file_contents.h"

#include <gmock/gmock.h>
#include <torch/types.h>

#include <array>

#include "data_test.h"
#include "elbo/data/row_view.h"

namespace elbo {
namespace {

using hdf5::Handle;
using testing::HasSubstr;

class FileContentsTest : public DataTest {
 protected:
  // A file with an empty dataset of that type and space.
  std::string make_dataset(const std::string& name, const std::string& dataset, hid_t type,
                           const Handle& space) const {
    const auto guard = hdf5::lock();
    const Handle file = hdf5::create_file(path(name)), parents(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
    H5Pset_create_intermediate_group(parents.get(), 1);
    const Handle made(
        H5Dcreate2(file.get(), dataset.c_str(), type, space.get(), parents.get(), H5P_DEFAULT, H5P_DEFAULT),
        H5Dclose);
    EXPECT_TRUE(made);
    return path(name);
  }

  static Handle space(const std::vector<hsize_t>& shape) {
    return {H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose};
  }
};

TEST_F(FileContentsTest, SingleNumbersAndEmptyDataspacesAreNoRows) {
  int number = 0;
  for (const char* dataset : {"/train/x", "/x", "/x_train", "/train/data"})
    for (const H5S_class_t kind : {H5S_SCALAR, H5S_NULL}) {
      const std::string file = make_dataset(fmt::format("{}.h5", ++number), dataset, H5T_NATIVE_FLOAT,
                                            Handle(H5Screate(kind), H5Sclose));
      EXPECT_THAT(error_of(options(file)), HasSubstr(file)) << dataset;
    }
  const std::string scalar =
      make_dataset("scalar.h5", "/train/x", H5T_NATIVE_FLOAT, Handle(H5Screate(H5S_SCALAR), H5Sclose));
  EXPECT_THAT(error_of(options(scalar)), HasSubstr("has the shape (); expected (rows, …)"));
}

TEST_F(FileContentsTest, ADatasetThatIsNotNumbersIsNamedWithTheRemedy) {
  const Handle lists(H5Tvlen_create(H5T_NATIVE_FLOAT), H5Tclose),
      images(H5Tvlen_create(H5T_NATIVE_UINT8), H5Tclose), texts(H5Tcopy(H5T_C_S1), H5Tclose),
      complex(H5Tcreate(H5T_COMPOUND, 8), H5Tclose), record(H5Tcreate(H5T_COMPOUND, 8), H5Tclose);
  H5Tset_size(texts.get(), H5T_VARIABLE);
  H5Tinsert(complex.get(), "r", 0, H5T_NATIVE_FLOAT);
  H5Tinsert(complex.get(), "i", 4, H5T_NATIVE_FLOAT);
  H5Tinsert(record.get(), "a", 0, H5T_NATIVE_FLOAT);
  H5Tinsert(record.get(), "b", 4, H5T_NATIVE_FLOAT);
  struct Case {
    hid_t type;
    std::vector<hsize_t> shape;
    std::string sentence;
  };
  int number = 0;
  for (const Case& one :
       {Case{lists.get(), {30}, "lists of different lengths"},
        Case{images.get(), {30}, "elbo convert images"}, Case{texts.get(), {30}, "elbo convert text"},
        Case{complex.get(), {30, 4}, "complex numbers"},
        Case{record.get(), {30, 4}, "a table in 2 dimensions"},
        Case{H5T_STD_REF_OBJ, {30}, "references to other datasets"},
        Case{H5T_NATIVE_FLOAT, {3000}, "d[:len(d) // 256 * 256].reshape(-1, 256)"}}) {
    const std::string file =
        make_dataset(fmt::format("{}.h5", ++number), "/deep/thing", one.type, space(one.shape));
    EXPECT_THAT(error_of(options(file)), AllOf(HasSubstr("/deep/thing "), HasSubstr(one.sentence)));
    DataOptions named = options(file);
    named.x = "/deep/thing";
    EXPECT_THAT(error_of(named), AllOf(HasSubstr("/deep/thing "), HasSubstr(one.sentence)));
  }
}

TEST_F(FileContentsTest, ATableGivesTheNumbersOfNestedFieldsArraysAndBooleans) {
  struct Record {
    double energy;
    std::array<float, 2> position;
    std::array<char, 4> note;
    uint8_t flag;
  };
  const std::array<Record, 3> records{{{1, {2, 3}, {'a'}, 1}, {4, {5, 6}, {'b'}, 0}, {7, {8, 9}, {'c'}, 1}}};
  {
    const auto guard = hdf5::lock();
    const Handle file = hdf5::create_file(path("table.h5"));
    const Handle point(H5Tcreate(H5T_COMPOUND, 8), H5Tclose), text(H5Tcopy(H5T_C_S1), H5Tclose),
        record(H5Tcreate(H5T_COMPOUND, sizeof(Record)), H5Tclose), rows = space({3});
    H5Tset_size(text.get(), 4);
    H5Tinsert(point.get(), "x", 0, H5T_NATIVE_FLOAT);
    H5Tinsert(point.get(), "y", 4, H5T_NATIVE_FLOAT);
    H5Tinsert(record.get(), "energy", offsetof(Record, energy), H5T_NATIVE_DOUBLE);
    H5Tinsert(record.get(), "position", offsetof(Record, position), point.get());
    H5Tinsert(record.get(), "note", offsetof(Record, note), text.get());
    H5Tinsert(record.get(), "flag", offsetof(Record, flag), H5T_NATIVE_B8);
    const Handle dataset(
        H5Dcreate2(file.get(), "events", record.get(), rows.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
        H5Dclose);
    ASSERT_GE(H5Dwrite(dataset.get(), record.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, records.data()), 0);
  }
  const DataFile file(path("table.h5"));
  EXPECT_EQ(row_candidates(file, "/"), std::vector<std::string>{"/events"});
  EXPECT_EQ(fields_left_out(file, "/events"), std::vector<std::string>{"note"});
  const Dataset dataset(options(path("table.h5")));
  const torch::Tensor expected =
      torch::tensor({1., 2., 3., 1., 4., 5., 6., 0., 7., 8., 9., 1.}).reshape({3, 4});
  EXPECT_TRUE(torch::equal(dataset.split("train").read({0, 1, 2}).x, expected.to(torch::kFloat32)));
}

TEST_F(FileContentsTest, ACheckpointIsNotADataSet) {
  const std::string file =
      make("step.h5", {{"/parameters/a", torch::ones({8, 8})}, {"/parameters/b", torch::ones({8, 8})}});
  {
    const auto guard = hdf5::lock();
    const Handle opened(H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    hdf5::write_attribute(hdf5::open_group(opened, "/"), "elbo_version", std::string("0.1.0"));
  }
  EXPECT_THAT(error_of(options(file)), HasSubstr("is a checkpoint, not a data set"));
}

TEST_F(FileContentsTest, SamplesInDatasetsAreFoundInGroupsInsideEachOther) {
  std::vector<std::pair<std::string, torch::Tensor>> traces, variables;
  for (int i = 0; i < 20; ++i)
    traces.emplace_back(fmt::format("/waves/data/trace{}", i), torch::ones({8, 3}));
  EXPECT_THAT(error_of(options(make("traces.h5", traces))),
              HasSubstr("/waves/data has a dataset for each sample"));
  for (const char* name : {"pressure", "temperature", "wind", "rain"})
    variables.emplace_back(fmt::format("/{}", name), torch::ones({8, 3}));
  EXPECT_THAT(error_of(options(make("variables.h5", variables))),
              HasSubstr("has 4 datasets that could be the rows"));
}

}  // namespace
}  // namespace elbo
