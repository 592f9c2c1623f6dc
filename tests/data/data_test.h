// The fixture of tests of data sets.
#pragma once
#include "../hdf5/files.h"
#include "elbo/base/error.h"
#include "elbo/data/dataset.h"

namespace elbo {

class DataTest : public FilesTest {
 protected:
  static DataOptions options(const std::string& path) {
    DataOptions result;
    result.path = path;
    return result;
  }

  // The message of the usage Error thrown by opening a data set and reading all of its rows.
  static std::string error_of(const DataOptions& data_options) {
    try {
      const Dataset dataset(data_options);
      for (const std::string& split : dataset.splits()) {
        std::vector<int64_t> ids(static_cast<size_t>(dataset.split(split).rows()));
        for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
        dataset.split(split).read(ids);
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
      return error.what();
    }
    return "no error";
  }

  // The message of the usage Error for a model that uses labels. Others read the rows without one.
  static std::string label_error_of(const DataOptions& data_options) {
    EXPECT_EQ(error_of(data_options), "no error");
    const Dataset dataset(data_options);
    try {
      for (const std::string& split : dataset.splits()) dataset.require_labels(split);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
      return error.what();
    }
    return "no error";
  }
};

}  // namespace elbo
