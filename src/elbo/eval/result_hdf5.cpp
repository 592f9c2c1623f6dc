// Results in the data format (docs/data_format.md): `elbo train` takes the file, and `elbo score` and
// `elbo encode` of the run take it, too.
#include <torch/types.h>

#include <algorithm>

#include "elbo/base/file.h"
#include "elbo/base/special_tokens.h"
#include "elbo/eval/result_writer.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

constexpr int64_t chunk_rows = 1024;

// The codes of /split.
const std::vector<std::string>& split_codes() {
  static const std::vector<std::string> names{"train", "validation", "test"};
  return names;
}

class Hdf5Writer final : public ResultWriter {
 public:
  explicit Hdf5Writer(ResultFile file)
      : file_(std::move(file)), target_(file_.path), out_(hdf5::create_file(target_.temporary_path())) {
    const auto lock = hdf5::lock();
    for (const RowOutput& output : file_.outputs)
      datasets_.push_back(
          hdf5::create_rows(out_, "/" + output.name, output.shape, type_of(output), chunk_rows, 0));
  }

  void append(const ResultRows& rows) override {
    const auto lock = hdf5::lock();
    for (size_t i = 0; i < datasets_.size(); ++i)
      hdf5::append(datasets_[i], rows.values[i].to(type_of(file_.outputs[i])).contiguous());
    if (!rows.identities.empty()) append_identities(rows.identities);
    if (rows.label.defined()) append_to(label_, "/label", rows.label);
    if (is_data_set()) append_length(rows);
  }

  void finish() override {
    const auto lock = hdf5::lock();
    if (has_names_) hdf5::write_texts(out_, "/name", names_);
    if (split_) hdf5::write_attribute(split_, "names", split_codes());
    if (label_ && file_.shape.classes > 0) {
      hdf5::write_attribute(label_, "classes", file_.shape.classes);
      if (const auto names = file_.class_names(); !names.empty())
        hdf5::write_attribute(label_, "class_names", names);
    }
    if (is_data_set()) write_description();
    hdf5::write_out(out_, file_.path);
    datasets_.clear();
    for (hdf5::Handle* each : {&label_, &length_, &row_, &split_, &out_}) *each = {};
    target_.commit();
  }

 private:
  bool is_data_set() const { return file_.outputs.front().is_data && file_.outputs.front().name == "x"; }

  torch::ScalarType type_of(const RowOutput& output) const {
    return output.is_data && file_.shape.tokens > 0 ? torch::kInt32 : torch::kFloat32;
  }

  void append_to(hdf5::Handle& dataset, const char* path, const torch::Tensor& values) {
    if (!dataset)
      dataset =
          hdf5::create_rows(out_, path, values.sizes().slice(1).vec(), values.scalar_type(), chunk_rows, 0);
    hdf5::append(dataset, values.contiguous());
  }

  void append_identities(const std::vector<RowIdentity>& identities) {
    std::vector<int64_t> rows;
    std::vector<uint8_t> splits;
    for (const RowIdentity& row : identities) {
      rows.push_back(row.row);
      splits.push_back(
          static_cast<uint8_t>(std::ranges::find(split_codes(), row.split) - split_codes().begin()));
      names_.push_back(row.name);
    }
    has_names_ = has_names_ || have_names(identities);
    append_to(row_, "/row", torch::tensor(rows, torch::kInt64));
    if (file_.several_splits) append_to(split_, "/split", torch::tensor(splits, torch::kUInt8));
  }

  // Of tokens up to <eos>, of sequences of a data set as they were.
  void append_length(const ResultRows& rows) {
    if (rows.length.defined()) return append_to(length_, "/length", rows.length);
    if (file_.shape.tokens == 0) return;
    const torch::Tensor padding = rows.values.front().eq(static_cast<double>(pad_token));
    append_to(length_, "/length", rows.values.front().size(1) - padding.sum(1));
  }

  void write_description() {
    const hdf5::Handle root = hdf5::open_group(out_, "/");
    if (!file_.description_file.empty()) copy_description(DataFile(file_.description_file), out_);
    if (!file_.shape.kind.empty() && !hdf5::has_attribute(root, "kind"))
      hdf5::write_attribute(root, "kind", file_.shape.kind);
  }

  ResultFile file_;
  AtomicFile target_;
  hdf5::Handle out_, label_, length_, row_, split_;
  std::vector<hdf5::Handle> datasets_;
  std::vector<std::string> names_;
  bool has_names_ = false;
};

}  // namespace

std::unique_ptr<ResultWriter> hdf5_writer(ResultFile file) {
  return std::make_unique<Hdf5Writer>(std::move(file));
}

}  // namespace elbo
