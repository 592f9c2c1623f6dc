// A fixture that converts small files of other formats.
#pragma once
#include <gmock/gmock.h>
#include <zlib.h>

#include <fstream>

#include "../data/data_test.h"
#include "elbo/convert/format.h"

namespace elbo {

class ConversionTest : public DataTest {
 protected:
  std::string write(const std::string& name, const std::string& bytes, bool compressed = false) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    if (compressed) {
      gzFile file = gzopen(path(name).c_str(), "wb");
      gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
      gzclose(file);
    } else {
      std::ofstream(path(name), std::ios::binary) << bytes;
    }
    return path(name);
  }

  std::string out() const { return path("out.h5"); }

  // Converts into out().
  void convert(const std::string& name, const std::vector<std::string>& inputs,
               const std::vector<Setting>& settings = {}) const {
    const Format format = find_format(name);
    Target target;
    OptionTable table;
    target.bind(table);
    const Format::Conversion run = format.bind(table);
    table.set({"out", out()}, "--");
    for (const Setting& setting : settings) table.set(setting, "--");
    run(inputs, target);
  }

  // The message of a conversion's usage Error. The conversion must leave no file.
  std::string refusal_of(const std::string& name, const std::vector<std::string>& inputs,
                         const std::vector<Setting>& settings = {}) const {
    try {
      convert(name, inputs, settings);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
      for (const auto& entry : std::filesystem::directory_iterator(path("")))
        EXPECT_FALSE(entry.path().filename().string().starts_with("out.h5")) << entry.path();
      return error.what();
    }
    std::filesystem::remove(out());
    return "nothing was refused";
  }

  // A dataset of out().
  torch::Tensor read(const std::string& dataset) const {
    return hdf5::read_tensor(hdf5::open_dataset(hdf5::open_file(out()), dataset));
  }
  bool has(const std::string& object) const { return hdf5::exists(hdf5::open_file(out()), object); }
  std::string kind() const {
    return hdf5::read_text_attribute(hdf5::open_group(hdf5::open_file(out()), "/"), "kind").value_or("");
  }
  int64_t integer_attribute(const std::string& dataset, const std::string& name) const {
    const hdf5::Handle file = hdf5::open_file(out());
    const hdf5::Handle object =
        hdf5::is_group(file, dataset) ? hdf5::open_group(file, dataset) : hdf5::open_dataset(file, dataset);
    return hdf5::read_integer_attribute(object, name).value_or(-1);
  }
};

// The elements of a tensor, in order.
inline std::vector<double> numbers(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.to(torch::kFloat64).contiguous().flatten();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

}  // namespace elbo
