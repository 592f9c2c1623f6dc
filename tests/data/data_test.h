// What tests of data sets share: files of their own, and what opening one is refused with.
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

  // The message of the usage Error that opening and reading the first rows of all splits ends in.
  static std::string refusal(const DataOptions& given) {
    try {
      const Dataset dataset(given);
      for (const std::string& split : dataset.splits()) {
        std::vector<int64_t> ids(static_cast<size_t>(dataset.split(split).rows()));
        for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
        dataset.split(split).read(ids);
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
      return error.what();
    }
    return "nothing was refused";
  }
};

}  // namespace elbo
