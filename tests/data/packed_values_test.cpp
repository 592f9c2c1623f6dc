#include "elbo/data/packed_values.h"

#include <gmock/gmock.h>
#include <torch/types.h>

#include <array>

#include "../hdf5/files.h"

namespace elbo {
namespace {

using hdf5::Handle;

class PackedValuesTest : public FilesTest {
 protected:
  // A dataset of two 16-bit or 8-bit integers with a fill value.
  Handle dataset(const std::string& name, hid_t type, int fill) const {
    const auto guard = hdf5::lock();
    const Handle file = hdf5::create_file(path(name)), properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const hsize_t size = 2;
    const Handle space(H5Screate_simple(1, &size, nullptr), H5Sclose);
    H5Pset_fill_value(properties.get(), H5T_NATIVE_INT, &fill);
    return {H5Dcreate2(file.get(), "x", type, space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT),
            H5Dclose, file};
  }
};

TEST_F(PackedValuesTest, SignedIntegersThatStandForUnsignedOnesAreUnsigned) {
  const Handle x = dataset("goes.nc", H5T_STD_I8LE, 0);
  hdf5::write_attribute(x, "_Unsigned", std::string("true"));
  hdf5::write_attribute(x, "_FillValue", int64_t{-1});
  const PackedValues packed(x);
  std::array<float, 2> stored{1, -56};
  EXPECT_EQ(packed.missing_in(stored.data(), 2), "");
  packed.unpack(stored.data(), 2);
  EXPECT_THAT(stored, testing::ElementsAre(1, 200));
  stored[1] = -1;
  EXPECT_EQ(packed.missing_in(stored.data(), 2),
            "the value 255, which its attribute _FillValue declares missing");
}

TEST_F(PackedValuesTest, NumbersThatNetcdfNeverWroteAreMissing) {
  const std::array<float, 2> stored{3, -32767};
  const Handle variable = dataset("a.nc", H5T_STD_I16LE, -32767),
               other = dataset("b.nc", H5T_STD_I16LE, -32767), bytes = dataset("c.nc", H5T_STD_I8LE, -127);
  for (const Handle* of_netcdf : {&variable, &bytes})
    hdf5::write_attribute(*of_netcdf, "DIMENSION_LIST", std::string("time"));
  EXPECT_EQ(PackedValues(variable).missing_in(stored.data(), 2),
            "the value -32767, which netCDF's fill value declares missing");
  EXPECT_TRUE(PackedValues(other).none());
  EXPECT_TRUE(PackedValues(bytes).none());
  hdf5::write_attribute(variable, "_FillValue", int64_t{-9});
  EXPECT_EQ(PackedValues(variable).missing_in(stored.data(), 2), "");
}

}  // namespace
}  // namespace elbo
