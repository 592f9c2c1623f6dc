#include "elbo/run/broadcast_checkpoint.h"

#include <fmt/ranges.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <nlohmann/json.hpp>

#include "elbo/base/error.h"

namespace elbo {
namespace {

using nlohmann::json;

json describe(const std::vector<NamedTensor>& tensors) {
  json list = json::array();
  for (const auto& [name, tensor] : tensors)
    list.push_back({name, tensor.sizes().vec(), static_cast<int>(tensor.scalar_type())});
  return list;
}

void broadcast_tensors(Communicator& comm, const json& list, std::vector<NamedTensor>& tensors) {
  if (comm.rank() != 0) {
    for (const json& entry : list)
      tensors.emplace_back(entry[0].get<std::string>(),
                           torch::empty(entry[1].get<std::vector<int64_t>>(),
                                        static_cast<torch::ScalarType>(entry[2].get<int>())));
  }
  for (auto& [name, tensor] : tensors) comm.broadcast(tensor, 0);
}

// A field as JSON and back: an optional number that is not there is null.
template <typename T>
json as_json(const T& value) {
  return value;
}
json as_json(const std::optional<double>& value) { return value ? json(*value) : json(); }
template <typename T>
void take_json(const json& text, T& value) {
  value = text.get<T>();
}
void take_json(const json& text, std::optional<double>& value) {
  value = text.is_null() ? std::nullopt : std::optional(text.get<double>());
}

void load_tensors(const torch::OrderedDict<std::string, torch::Tensor>& targets,
                  const std::vector<NamedTensor>& values, const std::string& where, const char* what) {
  if (targets.size() != values.size())
    usage_error("{}: holds {} {}, the model has {}: it is a checkpoint of another model", where,
                values.size(), what, targets.size());
  for (const auto& [name, value] : values) {
    const torch::Tensor* target = targets.find(name);
    if (target == nullptr)
      usage_error("{}: holds {}, which the model does not have: it is a checkpoint of another model", where,
                  name);
    if (target->sizes() != value.sizes())
      usage_error("{}: {} has shape ({}), the model's has ({}): it is a checkpoint of another model", where,
                  name, fmt::join(value.sizes().vec(), ", "), fmt::join(target->sizes().vec(), ", "));
    target->copy_(value);
  }
}

}  // namespace

std::optional<Checkpoint> broadcast_checkpoint(Communicator& comm, std::optional<Checkpoint> read) {
  json header;
  if (comm.rank() == 0 && read) {
    for_each_field(*read, [&](const char* name, const auto& value, bool) { header[name] = as_json(value); });
    for_each_group(*read, [&](const char* name, const auto& tensors) { header[name] = describe(tensors); });
  }
  // Not as text: a path need not be UTF-8.
  const std::vector<uint8_t> bytes = json::to_cbor(header);
  header = json::from_cbor(broadcast_text(comm, {bytes.begin(), bytes.end()}, 0));
  if (header.is_null()) return std::nullopt;
  Checkpoint result = comm.rank() == 0 && read ? std::move(*read) : Checkpoint{};
  for_each_field(result, [&](const char* name, auto& value, bool) { take_json(header[name], value); });
  for_each_group(result,
                 [&](const char* name, auto& tensors) { broadcast_tensors(comm, header[name], tensors); });
  return result;
}

ComputeOnRoot compute_on_root(Communicator& comm) {
  return [&comm](const auto& make) { return broadcast_text(comm, comm.rank() == 0 ? make() : "", 0); };
}

void load_into(torch::nn::Module& model, const Checkpoint& checkpoint, const std::string& where) {
  const torch::NoGradGuard no_grad;
  load_tensors(model.named_parameters(), checkpoint.parameters, where, "parameters");
  load_tensors(model.named_buffers(), checkpoint.buffers, where, "buffers");
}

}  // namespace elbo
