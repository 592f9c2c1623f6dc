// The format ONNX: encoder or decoder as a graph.
#include <torch/types.h>

#include <fstream>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/commands/export_formats.h"
#include "elbo/nn/kernels.h"
#include "elbo/onnx/trace.h"

namespace elbo {
namespace {

std::vector<onnx::Port> with_label(std::vector<onnx::Port> inputs, const SavedRun& run) {
  const DataShape& data = run.checkpoint.data;
  if (!run.model->conditional()) return inputs;
  if (data.classes > 0)
    inputs.push_back({"label", torch::kInt64});
  else
    inputs.push_back({"label", torch::kFloat32, {data.label_features}});
  return inputs;
}

torch::Tensor label_among(const std::vector<torch::Tensor>& inputs) {
  return inputs.size() > 1 ? inputs[1] : torch::Tensor();
}

// What elbo encode computes of rows as the data set stores them.
Latent encode_rows(const SavedRun& run, const std::vector<torch::Tensor>& inputs) {
  const DataShape& data = run.checkpoint.data;
  Batch batch{.x = run.model->transform().apply(inputs[0]), .label = label_among(inputs), .ids = {}};
  if (data.masked) {
    batch.observed = batch.x.isnan().logical_not();
    batch = batch.with_x(batch.x);
  }
  return run.model->encode(batch);
}

// What elbo decode writes to .h5.
torch::Tensor decode_codes(const SavedRun& run, const std::vector<torch::Tensor>& inputs) {
  const torch::Tensor mean = run.model->decode(inputs[0], label_among(inputs));
  const Transform& transform = run.model->transform();
  return transform.kind == "bytes" ? mean : transform.undo(mean);
}

// Those of the model by the names that they have in checkpoints.
std::vector<NamedTensor> tensors_of(Model& model) {
  std::vector<NamedTensor> tensors;
  for (const auto& each : model.named_parameters()) {
    each.value().set_requires_grad(false);
    tensors.emplace_back(each.key(), each.value());
  }
  for (const auto& each : model.named_buffers()) tensors.emplace_back(each.key(), each.value());
  return tensors;
}

}  // namespace

void export_onnx(const SavedRun& run, Network network, const std::string& path) {
  const DataShape& data = run.checkpoint.data;
  const bool encoder = network == Network::encoder;
  if (encoder && run.model->uses_length())
    usage_error(
        "--network=encoder: model.name={} reads each row up to its length, which a graph of ONNX cannot; use "
        "elbo encode, or --network=decoder",
        run.config->model->name());
  use_kernels(Kernels::library);  // those of elbo are not recorded
  const onnx::Port rows{"x", torch::kFloat32, data.x},
      codes{"z", torch::kFloat32, {run.model->latent_size()}};
  const auto function = [&](const std::vector<torch::Tensor>& inputs) -> std::vector<torch::Tensor> {
    if (!encoder) return {decode_codes(run, inputs)};
    const Latent code = encode_rows(run, inputs);
    return code.logvar ? std::vector{code.z, *code.logvar} : std::vector{code.z};
  };
  const std::vector<std::string> outputs =
      encoder ? std::vector<std::string>{"z", "logvar"} : std::vector<std::string>{"x"};
  const onnx::Graph graph =
      onnx::trace(encoder ? "encoder" : "decoder", function, with_label({encoder ? rows : codes}, run),
                  outputs, tensors_of(*run.model));
  AtomicFile target(path);
  std::ofstream out(target.temporary_path(), std::ios::binary);
  out << onnx::serialize(graph, {{"model", run.config->model->name()},
                                 {"step", std::to_string(run.checkpoint.step)},
                                 {"fingerprint", run.checkpoint.fingerprint},
                                 {"config", run.checkpoint.config}});
  out.close();
  if (!out) fail("{}: cannot be written: is the disk full?", path);
  target.commit();
}

}  // namespace elbo
