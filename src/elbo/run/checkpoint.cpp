#include "elbo/run/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/library_error.h"
#include "elbo/base/log.h"
#include "elbo/base/sha256.h"
#include "elbo/base/text.h"
#include "elbo/base/version.h"
#include "elbo/hdf5/hdf5.h"
#include "elbo/parallel/flat_parameters.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

// The file begins with a block that HDF5 leaves to the user. It holds the digest of everything after it, so
// that one flipped bit anywhere, metadata included, is found before HDF5 reads a byte.
constexpr uint64_t user_block = 512;
constexpr std::string_view seal_prefix = "elbo checkpoint\nsha256 ";

std::string tensor_digest(const torch::Tensor& tensor) {
  return sha256(tensor.const_data_ptr(), tensor.nbytes());
}

void write_group(const hdf5::Handle& file, const std::string& group,
                 const std::vector<NamedTensor>& tensors) {
  const hdf5::Handle made = hdf5::create_group(file, group);
  std::vector<std::string> order;
  for (const auto& [name, tensor] : tensors) {
    const torch::Tensor host = tensor.cpu().contiguous();
    const std::string path = fmt::format("{}/{}", group, name);
    const hdf5::Handle dataset = hdf5::write_tensor(file, path, host);
    hdf5::write_attribute(dataset, "sha256", tensor_digest(host));
    order.push_back(name);
  }
  // HDF5 lists by name; the order of registration is part of the fingerprint.
  hdf5::write_attribute(made, "order", join(order, "\n"));
}

// Before memory is taken: a dataset of which nothing is stored may claim any size.
void require_size(const hdf5::Handle& dataset, uint64_t file_bytes, const std::string& name) {
  const hdf5::DatasetInfo info = hdf5::describe(dataset);
  double bytes = static_cast<double>(info.type_size);
  for (const int64_t extent : info.shape) bytes *= static_cast<double>(extent);
  if (bytes > static_cast<double>(file_bytes))
    fail("{} claims {}, more than the file has: it is not a checkpoint of elbo", name, human_bytes(bytes));
}

std::vector<NamedTensor> read_group(const hdf5::Handle& file, const std::string& group,
                                    const std::string& name) {
  const auto order = hdf5::read_text_attribute(hdf5::open_group(file, group), "order");
  if (!order) fail("{}: {} lacks its attribute order: not a checkpoint of elbo", name, group);
  std::vector<NamedTensor> tensors;
  for (const std::string& member : split(*order, '\n')) {
    const hdf5::Handle dataset = hdf5::open_dataset(file, fmt::format("{}/{}", group, member));
    require_size(dataset, fs::file_size(name), fmt::format("{}: {}/{}", name, group, member));
    torch::Tensor tensor = hdf5::read_tensor(dataset);
    if (hdf5::read_text_attribute(dataset, "sha256") != tensor_digest(tensor))
      fail("{}: {}/{} does not match its checksum: the file is damaged", name, group, member);
    tensors.emplace_back(member, std::move(tensor));
  }
  return tensors;
}

void seal(const fs::path& path) {
  const std::string text = fmt::format("{}{}\n", seal_prefix, sha256_of_file(path, user_block));
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) fail("{}: the checksum cannot be written", path.string());
}

std::string read_seal(const fs::path& path) {
  require_readable_file(path);
  std::string text(user_block, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  return text;
}

void require_seal(const fs::path& path) {
  const std::string text = read_seal(path);
  if (!text.starts_with(seal_prefix))
    usage_error("{}: is not a checkpoint of elbo; expected a file written by elbo train", path.string());
  if (text.substr(seal_prefix.size(), 64) != sha256_of_file(path, user_block))
    fail("{}: does not match its checksum: the file is damaged or cut short", path.string());
}

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

struct ReadField {
  const hdf5::Handle& root;
  const fs::path& path;

  void operator()(const char* name, std::string& value, bool required) const {
    take(name, hdf5::read_text_attribute(root, name), value, required);
  }
  void operator()(const char* name, int64_t& value, bool required) const {
    take(name, hdf5::read_integer_attribute(root, name), value, required);
  }
  void operator()(const char* name, bool& value, bool required) const {
    int64_t number = value;
    (*this)(name, number, required);
    value = number != 0;
  }
  void operator()(const char* name, std::vector<int64_t>& value, bool required) const {
    std::string text;
    (*this)(name, text, required);
    for (const std::string& number : split(text, ',')) {
      const char* const end = number.data() + number.size();
      if (const auto [last, error] = std::from_chars(number.data(), end, value.emplace_back());
          last != end || error != std::errc() || value.back() < 0)
        fail("{}: its attribute {} is '{}', expected numbers with commas", path.string(), name, text);
    }
  }
  void operator()(const char* name, std::optional<double>& value, bool) const {
    value = hdf5::read_double_attribute(root, name);
  }

 private:
  template <typename T>
  void take(const char* name, std::optional<T> found, T& value, bool required) const {
    if (!found && required)
      fail("{}: lacks the attribute {}: it is not a checkpoint of elbo", path.string(), name);
    if (found) value = std::move(*found);
  }
};

// The step that a file's name says, if it is a checkpoint's.
std::optional<int64_t> step_of_name(const fs::path& path) {
  const std::string name = path.filename();
  if (!name.starts_with("step_") || !name.ends_with(".h5")) return std::nullopt;
  const char* end = name.data() + name.size() - 3;
  int64_t step = 0;
  const auto [last, error] = std::from_chars(name.data() + 5, end, step);
  return last == end && error == std::errc() ? std::optional(step) : std::nullopt;
}

// What is recorded twice must agree; checksums alone do not prove that.
void require_consistent(const Checkpoint& checkpoint, const fs::path& path) {
  if (fingerprint(checkpoint.parameters) != checkpoint.fingerprint)
    fail("{}: its parameters do not match the fingerprint that it records: the file is damaged",
         path.string());
  if (step_of_name(path).value_or(checkpoint.step) != checkpoint.step)
    fail("{}: holds step {}, but its name says another: it is damaged or was renamed", path.string(),
         checkpoint.step);
}

Checkpoint read_sealed(const fs::path& path) {
  const auto lock = hdf5::lock();
  const hdf5::Handle file = hdf5::open_file(path);
  const hdf5::Handle root = hdf5::open_group(file, "/");
  int64_t version = 0;
  ReadField{root, path}("format_version", version, true);
  if (version != checkpoint_format_version)
    usage_error("{}: has format version {}; this elbo reads version {}: use the elbo that wrote it",
                path.string(), version, checkpoint_format_version);
  Checkpoint checkpoint;
  for_each_field(checkpoint, ReadField{root, path});
  for_each_group(checkpoint, [&](const char* group, std::vector<NamedTensor>& tensors) {
    tensors = read_group(file, std::string("/") + group, path);
  });
  require_consistent(checkpoint, path);
  return checkpoint;
}

}  // namespace

void write_checkpoint(const fs::path& path, const Checkpoint& checkpoint) {
  AtomicFile target(path);
  {
    const auto lock = hdf5::lock();
    const hdf5::Handle file = hdf5::create_file(target.temporary_path(), user_block);
    const hdf5::Handle root = hdf5::open_group(file, "/");
    hdf5::write_attribute(root, "format_version", checkpoint_format_version);
    hdf5::write_attribute(root, "elbo_version", version());
    for_each_field(checkpoint, WriteField{root});
    for_each_group(checkpoint, [&](const char* group, const std::vector<NamedTensor>& tensors) {
      write_group(file, std::string("/") + group, tensors);
    });
    hdf5::write_out(file, target.temporary_path());
  }
  seal(target.temporary_path());
  require_seal(target.temporary_path());  // what is on the disk, not what was meant
  target.commit();
}

bool is_checkpoint(const fs::path& path) { return read_seal(path).starts_with(seal_prefix); }

Checkpoint read_checkpoint(const fs::path& path) {
  require_seal(path);
  try {
    return read_sealed(path);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {  // of LibTorch, about odd contents
    fail("{}: cannot be read as a checkpoint: {}", path.string(), describe_library_error(error).what());
  }
}

fs::path checkpoint_path(const fs::path& run_directory, int64_t step) {
  return run_directory / "checkpoints" / fmt::format("step_{:09}.h5", step);
}

std::vector<int64_t> checkpoint_steps(const fs::path& run_directory) {
  std::vector<int64_t> steps;
  std::error_code error;
  for (const fs::path& path : entries_of(run_directory / "checkpoints", error))
    if (const auto step = step_of_name(path)) steps.push_back(*step);
  if (error && error != std::errc::no_such_file_or_directory)
    usage_error("{}: its checkpoints cannot be listed: {}", run_directory.string(), error.message());
  std::ranges::sort(steps);
  return steps;
}

bool is_intact(const fs::path& path) {
  try {
    require_seal(path);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::optional<Checkpoint> newest_valid_checkpoint(const fs::path& run_directory) {
  std::vector<int64_t> steps = checkpoint_steps(run_directory);
  std::set<int64_t> invalid;
  while (!steps.empty()) {
    const fs::path path = checkpoint_path(run_directory, steps.back());
    steps.pop_back();
    try {
      return read_checkpoint(path);
    } catch (const Error& error) {
      std::error_code ignored;
      if (fs::exists(path, ignored)) {
        log::warning("{}{}", error.what(), steps.empty() ? "" : "; the checkpoint before it is taken");
        invalid.insert(*step_of_name(path));
        continue;
      }
      steps = checkpoint_steps(run_directory);  // training has removed it, after it wrote newer ones
      std::erase_if(steps, [&](int64_t step) { return invalid.contains(step); });
    }
  }
  return std::nullopt;
}

}  // namespace elbo
