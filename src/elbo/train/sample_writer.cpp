#include "elbo/train/sample_writer.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/library_error.h"
#include "elbo/base/log.h"
#include "elbo/data/binarize.h"
#include "elbo/data/loader.h"
#include "elbo/eval/output.h"
#include "elbo/run/saved_run.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

constexpr int64_t columns = 8;

// How many rows fit on one screen, or take some seconds to hear or to read.
int64_t rows_to_show(const DataShape& data, const std::string& ending) {
  constexpr int64_t most_pixels = 1 << 19, lines = 4, texts = 8, frames = 16, sequences = 2;
  if (ending == ".txt") return texts;
  if (ending == ".wav") return data.x.size() == 1 ? frames : sequences;
  if (data.is_video()) return lines;
  const int64_t pixels = data.x[data.x.size() - 2] * data.x.back();
  return std::clamp<int64_t>(most_pixels / pixels, 1, columns * lines);
}

torch::Device device_of_model(const Model& model) { return model.parameters().front().device(); }

}  // namespace

SampleWriter::SampleWriter(const RunPlan& plan, const RowSource& rows, std::string binarize, uint64_t seed)
    : plan_(plan), rows_(rows), binarize_(std::move(binarize)), seed_(seed) {}

// Whether such rows can be looked at.
bool SampleWriter::prepare(const Transform& transform) {
  form_.columns = columns;
  form_.byte = transform.kind == "bytes" ? 1.0 : 255.0;
  form_.shape = plan_.data;
  form_.outputs = {{"x", plan_.data.x, true}};
  {
    const auto lock = hdf5::lock();
    form_.description = describe_data(DataFile(description_path(plan_.directory)));
  }
  ending_ = ending_to_look_at(form_);
  if (ending_.empty()) return false;
  fs::create_directories(fs::path(plan_.directory) / "samples");
  return true;
}

std::vector<fs::path> SampleWriter::write(Model& model, int64_t step) {
  if (!works_) return {};
  const torch::NoGradGuard no_grad;
  try {
    works_ = !ending_.empty() || prepare(model.transform());
    if (!works_) return {};
    const std::string name = fmt::format("step_{:09}", step);
    std::vector<fs::path> files{write_samples(model, name)};
    if (model.likelihood()) files.push_back(write_reconstructions(model, name + "_reconstruction"));
    return files;
  } catch (const Error& error) {
    log::warning("{}; training continues without samples", error.what());
  } catch (const std::exception& error) {
    log::warning("samples cannot be written: {}; training continues without them",
                 describe_library_error(error).what());
  }
  works_ = false;
  return {};
}

fs::path SampleWriter::write_samples(Model& model, const std::string& name) {
  const int64_t n = rows_to_show(plan_.data, ending_);
  const Key key = Key(seed_).with("samples");
  const torch::Device device = device_of_model(model);
  RandomGenerator noise(key, device), elements(key.with("elements"), device);
  torch::Tensor label;
  if (model.conditional())
    label = plan_.data.classes > 0 ? torch::arange(n).remainder(plan_.data.classes).to(device)
                                   : read_rows(rows_, 0, std::min(n, rows_.rows()), binarize_,
                                               binarize_key(seed_, plan_.evaluation_split))
                                         .to(device)
                                         .label;
  const int64_t count = label.defined() ? label.size(0) : n;
  const Elements how = plan_.data.has_pixels() ? Elements::mean : Elements::drawn;
  const torch::Tensor x = model.generate_rows(count, label, {.how = how, .noise = &elements}, noise);
  return write_rows(model, name, form_.outputs, {.values = {x}});
}

fs::path SampleWriter::write_reconstructions(Model& model, const std::string& name) {
  const int64_t n = std::min((rows_to_show(plan_.data, ending_) + 1) / 2, rows_.rows());
  const Batch batch = read_rows(rows_, 0, n, binarize_, binarize_key(seed_, plan_.evaluation_split))
                          .to(device_of_model(model));
  const torch::Tensor reconstruction = model.decode_rows(model.encode(batch), batch);
  std::vector<RowOutput> outputs = form_.outputs;
  outputs.push_back({"reconstruction", plan_.data.x, true, true});
  return write_rows(model, name, std::move(outputs),
                    {.values = {batch.x, reconstruction}, .length = batch.length});
}

fs::path SampleWriter::write_rows(const Model& model, const std::string& name, std::vector<RowOutput> outputs,
                                  ResultRows rows) const {
  const std::string& kind = model.transform().kind;
  const bool in_units = kind != "bytes" && !(ending_ == ".png" && kind == "unit");
  for (torch::Tensor& values : rows.values)
    values = (in_units ? model.transform().undo(values) : values).to(torch::kCPU, torch::kFloat32);
  if (rows.length.defined()) rows.length = rows.length.cpu();
  ResultFile file = form_;
  file.path = fs::path(plan_.directory) / "samples" / (name + ending_);
  file.main = outputs.size() - 1;
  file.outputs = std::move(outputs);
  const std::unique_ptr<ResultWriter> writer = open_results(file);
  writer->append(rows);
  writer->finish();
  return file.path;
}

}  // namespace elbo
