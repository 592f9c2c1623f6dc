// AnnData, as scanpy reads it (https://anndata.readthedocs.io, on-disk format): rows are observations. Rows
// of the data set are X and layers, codes are obsm/X_elbo, numbers of a row are columns of obs.
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>

#include "elbo/base/file.h"
#include "elbo/eval/result_writer.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

void encode(const hdf5::Handle& object, const std::string& type, const std::string& version) {
  hdf5::write_attribute(object, "encoding-type", type);
  hdf5::write_attribute(object, "encoding-version", version);
}

void write_array(const hdf5::Handle& file, const std::string& path, const torch::Tensor& values) {
  encode(hdf5::write_tensor(file, path, values.contiguous()), "array", "0.2.0");
}

void write_names(const hdf5::Handle& file, const std::string& path, const std::vector<std::string>& names) {
  encode(hdf5::write_texts(file, path, names), "string-array", "0.2.0");
}

// A group of columns with an index.
void write_frame(const hdf5::Handle& file, const std::string& path, const std::vector<std::string>& index,
                 const std::vector<std::string>& columns) {
  const hdf5::Handle group = hdf5::create_group(file, path);
  encode(group, "dataframe", "0.2.0");
  hdf5::write_attribute(group, "_index", std::string("_index"));
  hdf5::write_attribute(group, "column-order", columns);
  write_names(file, path + "/_index", index);
}

class AnnDataWriter final : public CollectingWriter {
 public:
  explicit AnnDataWriter(ResultFile file) : CollectingWriter(std::move(file)) {}

 private:
  void write(const ResultRows& all) const override {
    const auto lock = hdf5::lock();
    AtomicFile target(file().path);
    {
      const hdf5::Handle out = hdf5::create_file(target.temporary_path());
      encode(hdf5::open_group(out, "/"), "anndata", "0.1.0");
      for (const char* group : {"/obsm", "/layers", "/uns"})
        encode(hdf5::create_group(out, group), "dict", "0.1.0");
      write_observations(out, all);
      write_outputs(out, all);
      hdf5::write_out(out, file().path);
    }
    target.commit();
  }

  bool is_column(size_t output) const { return file().outputs[output].shape.empty(); }

  void write_observations(const hdf5::Handle& out, const ResultRows& all) const {
    std::vector<std::string> index, splits, columns{"row"};
    std::vector<int64_t> numbers;
    for (int64_t row = 0; row < all.rows(); ++row) {
      const RowIdentity identity = all.identities.empty() ? RowIdentity{.split = "", .row = row, .name = ""}
                                                          : all.identities[static_cast<size_t>(row)];
      numbers.push_back(identity.row);
      splits.push_back(identity.split);
      const std::string number = file().several_splits ? fmt::format("{}-{}", identity.split, identity.row)
                                                       : std::to_string(identity.row);
      index.push_back(identity.name.empty() ? number : identity.name);
    }
    const bool has_classes = all.label.defined() && !all.label.is_floating_point();
    if (has_classes) columns.emplace_back("label");
    if (file().several_splits) columns.emplace_back("split");
    for (size_t i = 0; i < all.values.size(); ++i)
      if (is_column(i)) columns.push_back(file().outputs[i].name);
    write_frame(out, "/obs", index, columns);
    write_array(out, "/obs/row", torch::tensor(numbers, torch::kInt64));
    if (has_classes) write_classes(out, all.label);
    if (file().several_splits) write_names(out, "/obs/split", splits);
  }

  void write_classes(const hdf5::Handle& out, const torch::Tensor& label) const {
    std::vector<std::string> names = file().class_names();
    for (int64_t i = std::ssize(names); i < std::max<int64_t>(file().shape.classes, 1); ++i)
      names.push_back(std::to_string(i));
    const hdf5::Handle group = hdf5::create_group(out, "/obs/label");
    encode(group, "categorical", "0.2.0");
    hdf5::write_boolean_attribute(group, "ordered", false);
    write_array(out, "/obs/label/codes", label.to(torch::kInt32));
    write_names(out, "/obs/label/categories", names);
  }

  void write_outputs(const hdf5::Handle& out, const ResultRows& all) const {
    std::vector<std::string> variables;
    for (size_t i = 0; i < all.values.size(); ++i) {
      const RowOutput& output = file().outputs[i];
      const torch::Tensor& values = all.values[i];
      if (is_column(i)) {
        write_array(out, "/obs/" + output.name, values);
      } else if (!output.is_data) {
        write_array(out, output.name == "z" ? "/obsm/X_elbo" : "/obsm/X_elbo_" + output.name,
                    values.flatten(1));
      } else if (i == file().main) {
        write_array(out, "/X", values.flatten(1));
        variables = names_of_variables(values.flatten(1).size(1));
      } else {
        write_array(out, "/layers/" + output.name, values.flatten(1));
      }
    }
    write_frame(out, "/var", variables, {});
  }

  std::vector<std::string> names_of_variables(int64_t count) const {
    if (std::ssize(file().description.columns) == count) return file().description.columns;
    std::vector<std::string> names;
    names.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
    return names;
  }
};

}  // namespace

std::unique_ptr<ResultWriter> anndata_writer(ResultFile file) {
  return std::make_unique<AnnDataWriter>(std::move(file));
}

}  // namespace elbo
