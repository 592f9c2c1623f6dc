#include "elbo/run/checkpoint_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <numeric>
#include <string>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/base/version.h"
#include "elbo/run/checkpoint_seal.h"

namespace elbo {
namespace {

// An attribute of the file's root for each field. A list of numbers is a text with commas.
struct WriteField {
  const hdf5::Handle& root;
  void operator()(const char* name, const std::string& value, bool) const {
    hdf5::write_attribute(root, name, value);
  }
  void operator()(const char* name, int64_t value, bool) const { hdf5::write_attribute(root, name, value); }
  void operator()(const char* name, bool value, bool) const {
    hdf5::write_attribute(root, name, int64_t{value});
  }
  void operator()(const char* name, const std::vector<int64_t>& value, bool) const {
    hdf5::write_attribute(root, name, fmt::format("{}", fmt::join(value, ",")));
  }
  void operator()(const char* name, const std::optional<double>& value, bool) const {
    if (value) hdf5::write_attribute(root, name, *value);
  }
};

// HDF5 lists by name; the order of registration is part of the fingerprint.
template <typename Tensors, typename Name>
void write_group(const hdf5::Handle& file, const char* group, const Tensors& tensors, Name&& name) {
  const hdf5::Handle made = hdf5::create_group(file, group);
  std::vector<std::string> order;
  order.reserve(tensors.size());
  for (const auto& tensor : tensors) order.push_back(name(tensor));
  hdf5::write_attribute(made, "order", join(order, "\n"));
}

void write_tensors(const hdf5::Handle& file, const char* group, const std::vector<NamedTensor>& tensors) {
  write_group(file, group, tensors, [](const NamedTensor& tensor) { return tensor.first; });
  for (const auto& [name, tensor] : tensors) {
    const torch::Tensor host = tensor.cpu().contiguous();
    const hdf5::Handle dataset = hdf5::write_tensor(file, fmt::format("{}/{}", group, name), host);
    hdf5::write_attribute(dataset, "sha256", sha256(host.const_data_ptr(), host.nbytes()));
  }
}

}  // namespace

CheckpointFile::CheckpointFile(const std::filesystem::path& path, const Checkpoint& checkpoint,
                               std::vector<TensorShape> optimizer)
    : target_(path),
      file_(hdf5::create_file(target_.temporary_path(), seal_bytes)),
      optimizer_(std::move(optimizer)) {
  const hdf5::Handle root = hdf5::open_group(file_, "/");
  hdf5::write_attribute(root, "format_version", checkpoint_format_version);
  hdf5::write_attribute(root, "elbo_version", version());
  for_each_field(checkpoint, WriteField{root});
  write_tensors(file_, "/parameters", checkpoint.parameters);
  write_tensors(file_, "/buffers", checkpoint.buffers);
  write_group(file_, "/optimizer", optimizer_, [](const TensorShape& tensor) { return tensor.name; });
  begin_next_tensor();
}

void CheckpointFile::begin_next_tensor() {
  while (missing_ == 0) {
    if (digest_) hdf5::write_attribute(dataset_, "sha256", digest_->hex());
    digest_.reset();
    if (next_ == optimizer_.size()) return;
    const TensorShape& tensor = optimizer_[next_++];
    dataset_ = hdf5::create_dataset(file_, "/optimizer/" + tensor.name, tensor.sizes, tensor.type);
    digest_ = std::make_unique<Sha256>();
    missing_ = std::accumulate(tensor.sizes.begin(), tensor.sizes.end(), int64_t{1}, std::multiplies<>());
  }
}

void CheckpointFile::write(const TensorRows& rows) {
  if (rows.tensor + 1 != next_ || missing_ == 0)
    fail("{}: its optimizer states came in another order", target_.temporary_path().string());
  const torch::Tensor host = rows.values.cpu().contiguous();
  hdf5::write_rows(dataset_, rows.first, host);
  digest_->update(host.const_data_ptr(), host.nbytes());
  missing_ -= host.numel();
  begin_next_tensor();
}

void CheckpointFile::commit() {
  const std::filesystem::path& path = target_.temporary_path();
  if (next_ < optimizer_.size() || missing_ > 0) fail("{}: lacks optimizer states", path.string());
  dataset_ = {};
  hdf5::write_out(file_, path);
  file_ = {};
  seal(path);
  require_seal(path);  // what is on the disk, not what was meant
  target_.commit();
}

void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  std::vector<TensorShape> shapes;
  shapes.reserve(checkpoint.optimizer.size());
  for (const auto& [name, tensor] : checkpoint.optimizer)
    shapes.push_back({name, tensor.sizes().vec(), tensor.scalar_type()});
  CheckpointFile file(path, checkpoint, std::move(shapes));
  for (size_t i = 0; i < checkpoint.optimizer.size(); ++i)
    if (checkpoint.optimizer[i].second.numel() > 0) file.write({i, 0, checkpoint.optimizer[i].second});
  file.commit();
}

}  // namespace elbo
