#include "elbo/run/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/library_error.h"
#include "elbo/base/log.h"
#include "elbo/base/sha256.h"
#include "elbo/base/text.h"
#include "elbo/hdf5/hdf5.h"
#include "elbo/parallel/flat_parameters.h"
#include "elbo/run/checkpoint_seal.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

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
    if (hdf5::read_text_attribute(dataset, "sha256") != sha256(tensor.const_data_ptr(), tensor.nbytes()))
      fail("{}: {}/{} does not match its checksum: the file is damaged", name, group, member);
    tensors.emplace_back(member, std::move(tensor));
  }
  return tensors;
}

// An attribute of the file's root for each field. A list of numbers is a text with commas.
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
  const std::vector<int64_t>& row = checkpoint.data.x;
  if (row.empty() || std::ranges::any_of(row, [](int64_t size) { return size == 0; }))
    fail("{}: its attribute data_row is '{}', expected sizes of at least 1 with commas: the file is damaged",
         path.string(), fmt::join(row, ","));
  if (const double factor = checkpoint.lr_factor.value_or(1); !(factor > 0 && std::isfinite(factor)))
    fail("{}: its attribute lr_factor is {}, expected a number above 0: the file is damaged", path.string(),
         factor);
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
  if (version > checkpoint_format_version)
    throw NewerCheckpoint(fmt::format(
        "{}: was made by a newer elbo: it has format version {}; this elbo reads version {}: use the "
        "newer one",
        path.string(), version, checkpoint_format_version));
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
  std::optional<NewerCheckpoint> newer;
  while (!steps.empty()) {
    const fs::path path = checkpoint_path(run_directory, steps.back());
    steps.pop_back();
    try {
      return read_checkpoint(path);
    } catch (const Error& error) {
      std::error_code ignored;
      if (fs::exists(path, ignored)) {
        if (const auto* found = dynamic_cast<const NewerCheckpoint*>(&error)) newer = *found;
        log::warning("{}{}", error.what(), steps.empty() ? "" : "; the checkpoint before it is taken");
        invalid.insert(*step_of_name(path));
        continue;
      }
      steps = checkpoint_steps(run_directory);  // training has removed it, after it wrote newer ones
      std::erase_if(steps, [&](int64_t step) { return invalid.contains(step); });
    }
  }
  if (newer) throw NewerCheckpoint(*newer);
  return std::nullopt;
}

}  // namespace elbo
