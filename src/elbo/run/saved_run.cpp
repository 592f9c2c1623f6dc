#include "elbo/run/saved_run.h"

#include <fmt/ranges.h>
#include <torch/types.h>

#include <charconv>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/data/binarize.h"
#include "elbo/data/data_files.h"
#include "elbo/data/description.h"
#include "elbo/data/loader.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/run/broadcast_checkpoint.h"
#include "elbo/run/device.h"
#include "elbo/run/normalization.h"
#include "elbo/run/opened_run.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

std::shared_ptr<Model> build(const SavedRun& run) {
  const std::shared_ptr<Model> model =
      build_model(*run.config, run.checkpoint.data, saved_transform(*run.config, run.checkpoint.data),
                  &run.checkpoint, run.directory);
  model->to(run.device);
  return model;
}

// Training may link to a better one, and remove this one, while it is read.
Checkpoint read_best(const fs::path& directory) {
  const fs::path link = directory / "checkpoints" / "best.h5";
  for (;;) {
    std::error_code no_link, ignored;
    const fs::path target = fs::read_symlink(link, no_link);
    if (!fs::exists(link, ignored))
      usage_error(
          "{}: has no best checkpoint, which needs a validation split in training; use newest or a step",
          directory.string());
    try {
      return read_checkpoint(no_link ? link : link.parent_path() / target);
    } catch (const Error&) {
      if (no_link || fs::read_symlink(link, ignored) == target) throw;
    }
  }
}

}  // namespace

Checkpoint read_run(const fs::path& directory, const std::string& which) {
  if (!fs::is_directory(directory))
    usage_error("{}: no such run; expected the folder that elbo train made", directory.string());
  const std::vector<int64_t> steps = checkpoint_steps(directory);
  if (steps.empty())
    usage_error("{}: holds no checkpoint; expected the folder of a run that elbo train has saved",
                directory.string());
  if (which == "newest") {
    std::optional<Checkpoint> newest = newest_valid_checkpoint(directory);
    if (!newest)
      fail("{}: none of its {} checkpoints is valid; elbo verify lists what is damaged", directory.string(),
           steps.size());
    return *newest;
  }
  if (which == "best") return read_best(directory);
  int64_t step = 0;
  const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), step);
  if (error != std::errc() || end != which.data() + which.size() || !std::ranges::binary_search(steps, step))
    usage_error("--checkpoint={}: expected newest, best, or a step of which {} has a checkpoint: {}", which,
                directory.string(), fmt::join(steps, ", "));
  return read_checkpoint(checkpoint_path(directory, step));
}

void use_average(Checkpoint& checkpoint) {
  for (auto& [name, tensor] : checkpoint.parameters) {
    const std::string ending = "/ema/" + name;
    const auto average = std::ranges::find_if(
        checkpoint.optimizer, [&](const NamedTensor& state) { return state.first.ends_with(ending); });
    if (average != checkpoint.optimizer.end()) tensor = average->second;
  }
}

namespace {

std::string describe(const DataShape& data) {
  return fmt::format("({}) of the kind {}", fmt::join(data.x, ", "),
                     data.kind.empty() ? "unknown" : data.kind);
}

void require_same_rows(const SavedRun& run, DataNeed need) {
  DataShape here = run.dataset->shape();
  const DataShape& trained = run.checkpoint.data;
  const bool shorter = here.x.size() == trained.x.size() && here.x.front() < trained.x.front();
  if (need == DataNeed::rows_to_continue && shorter) here.x.front() = trained.x.front();
  if (here.x != trained.x || here.kind != trained.kind)
    usage_error("{}: its rows are {}; {} was trained on rows {}", run.config->data.path, describe(here),
                run.directory, describe(trained));
  if (here.tokens != trained.tokens)
    usage_error("{}: its vocabulary has {} tokens; {} was trained with {}; the model needs the same one",
                run.config->data.path, here.tokens, run.directory, trained.tokens);
  const bool same_labels = here.classes == trained.classes && here.label_features == trained.label_features;
  if (run.model->conditional() && !same_labels)
    usage_error(
        "{}: its rows have {} classes and {} label values, {} was trained with {} and {}; the model needs "
        "the same labels",
        run.config->data.path, here.classes, here.label_features, run.directory, trained.classes,
        trained.label_features);
}

// The names, categories, scales and tokens of a data set that the user named are those of training.
void require_same_meaning(const SavedRun& run, const ComputeOnRoot& compute_on_root) {
  const std::string different = compute_on_root([&]() -> std::string {
    const std::string trained = run.description_file();
    return trained.empty() ? "" : difference_of(run.dataset->description(), describe_data(DataFile(trained)));
  });
  if (!different.empty())
    usage_error(
        "{0}: {1} as in the data that {2} was trained on; write it as those are (elbo convert has "
        "--like={2})",
        run.config->data.path, different, run.directory);
}

[[noreturn]] void refuse_class(const std::string& text, int64_t classes, std::vector<std::string> names) {
  if (names.empty()) usage_error("--label={}: expected a class from 0 to {}", text, classes - 1);
  constexpr size_t shown = 12;
  const std::string nearest = nearest_name(text, names);
  if (names.size() > shown) {
    names.resize(shown);
    names.emplace_back("…");
  }
  usage_error("--label={}: is none of the {} classes{}; expected {}, or a number from 0 to {}", text, classes,
              nearest.empty() ? "" : fmt::format(" (did you mean {}?)", nearest), join(names, ", "),
              classes - 1);
}

}  // namespace

std::vector<std::shared_ptr<Model>> SavedRun::replicas(int workers) const {
  std::vector<std::shared_ptr<Model>> result{model};
  while (static_cast<int>(result.size()) < workers) result.push_back(build(*this));
  return result;
}

std::string SavedRun::choose_split(const std::string& split) const {
  if (split != "auto") return split;
  if (names_data) return "all";
  for (const char* nearest : {"test", "validation", "train"})
    if (dataset->has(nearest)) {
      if (nearest != std::string_view("test"))
        log::info("{} has no test split: the {} split is taken", config->data.path, nearest);
      return nearest;
    }
  return "test";
}

Batch SavedRun::rows(const std::string& split, int64_t first, int64_t end) const {
  return read_rows(dataset->split(split), first, end, config->data.binarize,
                   binarize_key(static_cast<uint64_t>(config->train.seed), split))
      .to(device);
}

Batch SavedRun::rows(const std::string& split, const std::vector<int64_t>& ids) const {
  return read_rows(dataset->split(split), ids, config->data.binarize,
                   binarize_key(static_cast<uint64_t>(config->train.seed), split))
      .to(device);
}

std::string SavedRun::description_file() const {
  const fs::path own = description_path(directory);
  std::error_code ignored;
  if (fs::exists(own, ignored)) return own;
  try {
    const std::string first = data_files(data_path).front();
    return fs::exists(first, ignored) ? first : "";
  } catch (const Error&) {  // a pattern without files
    return "";
  }
}

std::filesystem::path description_path(const std::filesystem::path& run_directory) {
  return run_directory / "description.h5";
}

torch::Tensor labels_for(const SavedRun& run, const std::string& text, int64_t n) {
  const DataShape& data = run.checkpoint.data;
  if (!run.model->conditional()) {
    if (!text.empty())
      usage_error(
          "--label={}: the model of {}, {}, has no condition; cvae has one, and aae with model.use_labels",
          text, run.directory, run.config->model->name());
    return {};
  }
  if (text.empty() && data.classes > 0) return torch::arange(n).remainder(data.classes).to(run.device);
  const std::vector<std::string> names = texts_in_lines(data.class_names);
  const auto is_named = [&](const std::string& name) { return name == text || trim(name) == text; };
  if (const auto named = std::ranges::find_if(names, is_named); named != names.end())
    return torch::full({n}, named - names.begin(), torch::kInt64).to(run.device);
  std::vector<float> values;
  for (const std::string& word : split(text, ',')) {
    float value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) break;
    values.push_back(value);
  }
  const bool is_class = data.classes > 0 && values.size() == 1 && values[0] == std::floor(values[0]) &&
                        values[0] >= 0 && values[0] < static_cast<float>(data.classes);
  if (is_class) return torch::full({n}, static_cast<int64_t>(values[0]), torch::kInt64).to(run.device);
  if (data.classes > 0) refuse_class(text, data.classes, names);
  if (static_cast<int64_t>(values.size()) != data.label_features)
    usage_error("--label={}: expected the {} values of a label with commas between", text,
                data.label_features);
  return torch::tensor(values).expand({n, -1}).contiguous().to(run.device);
}

SavedRun open_run(Communicator& comm, const std::string& directory, const std::string& which,
                  const std::string& data_path, DataNeed need, torch::Device device) {
  SavedRun run;
  run.directory = directory;
  run.device = device;
  std::optional<Checkpoint> shared =
      broadcast_checkpoint(comm, comm.rank() == 0 ? std::optional(read_run(directory, which)) : std::nullopt);
  if (!shared) fail("{}: rank 0 has sent no checkpoint", directory);
  run.checkpoint = std::move(*shared);
  use_average(run.checkpoint);
  run.config = saved_config(run.checkpoint.config, directory);
  run.checkpoint.data.in_unit_interval = saved_in_unit_interval(*run.config, run.checkpoint);
  // A model that was trained on a GPU in tf32 computes in float32 elsewhere.
  const TrainOptions& train = run.config->train;
  prepare_device(device,
                 {train.exact, train.kernels, train.precision == "tf32" ? "float32" : train.precision});
  run.data_path = run.config->data.path;
  if (!data_path.empty()) {
    run.names_data = true;
    if (absolute_data_path(data_path) != run.config->data.path) run.config->data.validation_fraction = 0;
    run.config->data.path = data_path;
    run.config->data.requires_named = false;
    run.config->data.like = run.checkpoint.data;
  }
  if (need != DataNeed::none) {
    run.dataset = std::make_unique<Dataset>(run.config->data,
                                            Ranks{.compute_on_root = compute_on_root(comm), .share = {}});
    for (const std::string& note : run.dataset->notes()) log::info("{}", note);
  }
  run.model = build(run);
  if (run.dataset) {
    if (run.names_data) require_same_meaning(run, compute_on_root(comm));
    require_same_rows(run, need);
    transform_rows(*run.dataset, *run.model, *run.config);
  }
  return run;
}

}  // namespace elbo
