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

std::vector<NamedTensor> share_tensors(Communicator& comm, const json& list, std::vector<NamedTensor> mine) {
  if (comm.rank() != 0) {
    for (const json& entry : list)
      mine.emplace_back(entry[0].get<std::string>(),
                        torch::empty(entry[1].get<std::vector<int64_t>>(),
                                     static_cast<torch::ScalarType>(entry[2].get<int>())));
  }
  for (auto& [name, tensor] : mine) comm.broadcast(tensor, 0);
  return mine;
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

std::optional<Checkpoint> share(Communicator& comm, std::optional<Checkpoint> read) {
  json about;
  if (comm.rank() == 0 && read) {
    about = {{"step", read->step},
             {"fingerprint", read->fingerprint},
             {"config", read->config},
             {"dataset_fingerprint", read->dataset_fingerprint},
             {"data_row", read->data.x},
             {"data_kind", read->data.kind},
             {"data_integer", read->data.integer_x},
             {"data_bytes", read->data.bytes_x},
             {"data_classes", read->data.classes},
             {"data_label_features", read->data.label_features},
             {"data_rows", read->data.rows},
             {"data_tokens", read->data.tokens},
             {"evaluation_pending", read->evaluation_pending},
             {"world_size", read->world_size},
             {"best_loss", read->best_loss ? json(*read->best_loss) : json()},
             {"best_step", read->best_step},
             {"parameters", describe(read->parameters)},
             {"buffers", describe(read->buffers)},
             {"optimizer", describe(read->optimizer)}};
  }
  about = json::parse(broadcast_text(comm, about.dump(), 0));
  if (about.is_null()) return std::nullopt;
  Checkpoint result = comm.rank() == 0 && read ? std::move(*read) : Checkpoint{};
  result.step = about["step"];
  result.fingerprint = about["fingerprint"];
  result.config = about["config"];
  result.dataset_fingerprint = about["dataset_fingerprint"];
  result.data = {.x = about["data_row"].get<std::vector<int64_t>>(),
                 .kind = about["data_kind"],
                 .integer_x = about["data_integer"],
                 .bytes_x = about["data_bytes"],
                 .classes = about["data_classes"],
                 .label_features = about["data_label_features"],
                 .rows = about["data_rows"],
                 .tokens = about["data_tokens"]};
  result.evaluation_pending = about["evaluation_pending"];
  result.world_size = about["world_size"];
  if (!about["best_loss"].is_null()) result.best_loss = about["best_loss"].get<double>();
  result.best_step = about["best_step"];
  result.parameters = share_tensors(comm, about["parameters"], std::move(result.parameters));
  result.buffers = share_tensors(comm, about["buffers"], std::move(result.buffers));
  result.optimizer = share_tensors(comm, about["optimizer"], std::move(result.optimizer));
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
