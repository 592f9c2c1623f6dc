// The format safetensors: a model's parameters and buffers by their names.
#include <torch/types.h>

#include <bit>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "elbo/base/file.h"
#include "elbo/base/text.h"
#include "elbo/commands/export_formats.h"

namespace elbo {
namespace {

using nlohmann::ordered_json;

std::string dtype_name(const std::string& tensor, torch::ScalarType type) {
  switch (type) {
    case torch::kFloat32:
      return "F32";
    case torch::kFloat64:
      return "F64";
    case torch::kInt64:
      return "I64";
    case torch::kInt32:
      return "I32";
    case torch::kUInt8:
      return "U8";
    case torch::kBool:
      return "BOOL";
    default:
      fail("{}: the format safetensors is not written for {}", tensor, torch::toString(type));
  }
}

// A length of 8 bytes, a JSON header that says where each tensor begins and ends, the tensors' bytes, all
// little-endian (https://github.com/huggingface/safetensors, "Format").
void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       const ordered_json& metadata) {
  static_assert(std::endian::native == std::endian::little);
  ordered_json header{{"__metadata__", metadata}};
  size_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", dtype_name(name, tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, offset + tensor.nbytes()}}};
    offset += tensor.nbytes();
  }
  std::string text = header.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that tensors begin at multiples of 8
  const uint64_t length = text.size();

  AtomicFile target(path);
  std::ofstream out(target.temporary_path(), std::ios::binary);
  out.write(reinterpret_cast<const char*>(&length), sizeof length);
  out << text;
  for (const auto& [name, tensor] : tensors)
    out.write(static_cast<const char*>(tensor.contiguous().const_data_ptr()),
              static_cast<std::streamsize>(tensor.nbytes()));
  out.close();
  if (!out) fail("{}: cannot be written: is the disk full?", path);
  target.commit();
}

// Each layer that has parameters or buffers: its kind, and what their shapes do not say of it.
ordered_json layers_of(const Model& model) {
  ordered_json layers = ordered_json::object();
  for (const auto& module : model.named_modules("", /*include_self=*/false)) {
    if (module.value()->parameters(false).empty() && module.value()->buffers(false).empty()) continue;
    std::ostringstream text;
    module.value()->pretty_print(text);
    layers[module.key()] = text.str().substr(text.str().rfind(':') + 1);  // without namespaces
  }
  return layers;
}

// What the rows of training were.
ordered_json data_of(const DataShape& data) {
  ordered_json names = ordered_json::array();
  if (!data.class_names.empty()) names = texts_in_lines(data.class_names);
  return {{"row", data.x},
          {"kind", data.kind},
          {"classes", data.classes},
          {"class_names", names},
          {"label_features", data.label_features},
          {"masked", data.masked},
          {"in_unit_interval", data.in_unit_interval}};
}

ordered_json names_of(const std::vector<NamedTensor>& tensors) {
  ordered_json names = ordered_json::array();
  for (const NamedTensor& tensor : tensors) names.push_back(tensor.first);
  return names;
}

// Of all variants (docs/weights.md).
constexpr const char* order_of_outputs =
    "a Gaussian posterior: all means, then all log variances; a decoder: (parameter channels, ...row)";

}  // namespace

void export_safetensors(const SavedRun& run, const std::string& path) {
  std::vector<NamedTensor> tensors = run.checkpoint.parameters;
  tensors.insert(tensors.end(), run.checkpoint.buffers.begin(), run.checkpoint.buffers.end());
  write_safetensors(path, tensors,
                    {{"format", "pt"},
                     {"model", run.config->model->name()},
                     {"step", std::to_string(run.checkpoint.step)},
                     {"fingerprint", run.checkpoint.fingerprint},
                     {"config", run.checkpoint.config},
                     {"data", data_of(run.checkpoint.data).dump()},
                     {"buffers", names_of(run.checkpoint.buffers).dump()},
                     {"layers", layers_of(*run.model).dump()},
                     {"outputs", order_of_outputs}});
}

}  // namespace elbo
