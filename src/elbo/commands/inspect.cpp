#include <c10/util/accumulate.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <set>

#include "elbo/base/file.h"
#include "elbo/base/print.h"
#include "elbo/base/text.h"
#include "elbo/comm/self.h"
#include "elbo/commands/command.h"
#include "elbo/data/dataset.h"
#include "elbo/data/profile.h"
#include "elbo/eval/evaluation_metrics.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/hdf5.h"
#include "elbo/run/auto_config.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/checkpoint_seal.h"
#include "elbo/run/config.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

void inspect_checkpoint(const fs::path& path) {
  const Checkpoint checkpoint = read_checkpoint(path);
  print_escaped("checkpoint {}\nstep         {}\nfingerprint  {}\nwritten by   {} rank{}\ndata set     {}\n",
                path.string(), checkpoint.step, checkpoint.fingerprint, checkpoint.world_size,
                checkpoint.world_size == 1 ? "" : "s", checkpoint.dataset_fingerprint);
  if (checkpoint.best_loss) {
    const std::string metric = saved_config(checkpoint.config, path.string())->evaluate.best;
    const double sign = is_higher_better(metric) ? -1 : 1;
    print_escaped("best         validation {} {:.4f} at step {}\n", metric, sign * *checkpoint.best_loss,
                  checkpoint.best_step);
  }
  int64_t elements = 0;
  print_escaped("\nparameters\n");
  for (const auto& [name, tensor] : checkpoint.parameters) {
    print_escaped("  {:<40} {}\n", name, shape_text(tensor.sizes()));
    elements += tensor.numel();
  }
  for (const auto& [name, tensor] : checkpoint.buffers)
    print_escaped("  {:<40} {} (buffer)\n", name, shape_text(tensor.sizes()));
  print_escaped("  {} numbers in all\n\nconfiguration\n{}", elements, Lines{checkpoint.config});
}

void inspect_run(const fs::path& directory) {
  const std::vector<int64_t> steps = checkpoint_steps(directory);
  if (!fs::exists(directory / "run.ini"))
    usage_error("{}: is not the folder of a run: it has no run.ini", directory.string());
  print_escaped("run {}\ncheckpoints  {}\n", directory.string(),
                steps.empty() ? "none" : fmt::format("steps {}", fmt::join(steps, ", ")));
  const fs::path metrics = directory / "metrics.jsonl";
  if (fs::exists(metrics)) {
    const std::vector<std::string> lines = split(read_file(metrics), '\n');
    if (!lines.empty()) print_escaped("last metrics {}\n", lines.back());
  }
  if (fs::exists(directory / "evaluation.json"))
    print_escaped("evaluation   {}\n", (directory / "evaluation.json").string());
  print_escaped("\nconfiguration\n{}", Lines{read_file(directory / "run.ini")});
}

// Seconds to read some pieces spread over the dataset, as training will, and how many rows they were.
std::pair<double, int64_t> time_reading(const RowSource& rows) {
  const auto start = std::chrono::steady_clock::now();
  const int64_t pieces = (rows.rows() + rows.rows_per_chunk() - 1) / rows.rows_per_chunk();
  const int64_t taken = std::min<int64_t>(pieces, 16);
  int64_t read = 0;
  for (int64_t i = 0; i < taken; ++i) {
    std::vector<int64_t> ids;
    const int64_t first = i * pieces / taken * rows.rows_per_chunk();
    for (int64_t row = first; row < std::min(first + rows.rows_per_chunk(), rows.rows()); ++row)
      ids.push_back(row);
    rows.read(ids);
    read += static_cast<int64_t>(ids.size());
  }
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), read};
}

void print_values(const DataFile& file, const std::string& dataset) {
  std::optional<ValueProfile> survey;
  try {
    survey = profile_values(file, dataset);
    for (const std::string& sentence : file.unwritten_rows(dataset))
      print_escaped("  UNWRITTEN  {}\n", sentence);
  } catch (const Error& error) {  // the rest of the file may be worth a look
    print_escaped("  values     cannot be read: {}\n", error.what());
    return;
  }
  if (!survey) return;
  print_escaped("  values     {:.6g} to {:.6g}, mean {:.6g}, in a sample of {} rows\n", survey->lowest,
                survey->highest, survey->mean, survey->rows);
  if (survey->not_finite > 0)
    print_escaped("  NOT FINITE {} values of the sample are infinite: training refuses them\n",
                  survey->not_finite);
  const auto has_missing = [](const ColumnCount& column) { return column.missing > 0; };
  if (std::ranges::any_of(survey->missing, has_missing))
    print_escaped(
        "  MISSING    {} in the sample: training refuses them, or learns without them with "
        "data.missing=mask\n",
        describe_missing(survey->missing));
}

void print_storage(const DataFile& file, const std::string& path) {
  const hdf5::DatasetInfo info = file.describe(path);
  const int64_t bytes = c10::multiply_integers(info.shape) * static_cast<int64_t>(info.type_size);
  std::string filters;
  for (const hdf5::DatasetInfo::FilterInfo& filter : info.filters) filters += ", " + filter.name;
  print_escaped("\n{}\n  shape      {} {}, {}\n  layout     {}{}\n", path, shape_text(info.shape),
                info.type_name, human_bytes(static_cast<double>(bytes)),
                info.chunk.empty() ? "contiguous" : "chunks of " + shape_text(info.chunk), filters);
}

void inspect_sparse_split(const DataFile& file, const Dataset& dataset, const std::string& split) {
  const RowSource& rows = dataset.split(split);
  for (const char* name : {"offsets", "indices", "values"}) {
    const std::string path = fmt::format("/{}/{}", split, name);
    if (hdf5::exists(file.handle(), path)) print_storage(file, path);
  }
  const auto [seconds, read] = time_reading(rows);
  print_escaped(
      "  sparse     {} rows of {} columns, {} a row as stored\n  read       {}\n  read cost  {:.0f} rows/s "
      "here\n",
      rows.rows(), dataset.shape().features(), human_bytes(static_cast<double>(rows.bytes_per_row())),
      rows.access_method(), static_cast<double>(read) / seconds);
}

void inspect_split(const DataFile& file, const Dataset& dataset, const std::string& split) {
  const std::string path = "/" + split + "/x";
  if (!hdf5::exists(file.handle(), path)) return inspect_sparse_split(file, dataset, split);
  const hdf5::DatasetInfo info = file.describe(path);
  const RowSource& rows = dataset.split(split);
  print_storage(file, path);
  print_values(file, path);
  const auto [seconds, read] = time_reading(rows);
  const double rate = static_cast<double>(read) / seconds;
  const double row_bytes = static_cast<double>(info.row_elements()) * static_cast<double>(info.type_size);
  print_escaped("  read       {}\n  read cost  {:.0f} rows/s here ({}/s), {} for all rows\n",
                rows.access_method(), rate, human_bytes(rate * row_bytes),
                human_duration(static_cast<double>(info.shape.front()) / rate));
  constexpr int64_t usual_batch = 128;
  const std::string window = human_bytes(static_cast<double>(dataset.shuffle_buffer_bytes()));
  if (rows.rows() * rows.bytes_per_row() <= dataset.shuffle_buffer_bytes()) {
    print_escaped("  shuffle    whole: it fits the window of {}\n", window);
  } else {
    print_escaped("  shuffle    in windows of {} (data.shuffle_buffer_bytes)\n", window);
    if (const auto order = profile_shuffle(rows, dataset.shuffle_buffer_bytes(), usual_batch))
      print_escaped(
          "  its price  {:.2f} bytes read for each one used; rows of a batch of {} come from one chunk "
          "{:.1f} times "
          "as often as in a perfect shuffle\n",
          order->bytes_read, usual_batch, order->same_chunk);
  }
  const std::string repack = repack_line(file.path(), path, info, rows.access_method());
  print_escaped("  advice     {}\n",
                repack.empty() ? "none: the layout suits training" : "rewrite it: " + repack);
  const std::string label = "/" + split + "/label";
  if (!hdf5::exists(file.handle(), label)) return;
  print_storage(file, label);
  print_values(file, label);
}

// What `elbo train FILE` would do with it.
void print_choices(const Dataset& dataset) {
  if (!dataset.has("train")) return;
  print_escaped("\nelbo train with nothing but this file would take\n{}",
                Lines{as_ini(auto_config(*make_self_communicator(), dataset))});
}

void inspect_data(const std::string& path) {
  DataOptions options;
  options.path = path;
  options.tolerates_missing = true;
  const Dataset dataset(options);
  const DataFile file(path);
  print_escaped("data set {}\n", path);
  for (const char* name : {"name", "kind", "source", "license"})
    if (const std::string value = dataset.attribute(name); !value.empty())
      print_escaped("{:<12} {}\n", name, value);
  print_escaped("row          {}\n", shape_text(dataset.shape().x));
  if (dataset.shape().classes > 0) print_escaped("classes      {}\n", dataset.shape().classes);
  print_escaped("fingerprint  {}\n", dataset.fingerprint());
  for (const std::string& split : dataset.splits()) inspect_split(file, dataset, split);
  print_choices(dataset);
}

// What elbo train would take of a file of another layout.
void print_meaning(const std::string& path) {
  DataOptions options;
  options.path = path;
  options.tolerates_missing = true;
  try {
    const Dataset dataset(options);
    print_escaped("\nmeaning\n");
    for (const std::string& note : dataset.notes()) print_escaped("  {}\n", note);
    for (const std::string& split : dataset.splits())
      print_escaped("  {} rows of {} in the {} split\n", dataset.split(split).rows(),
                    shape_text(dataset.shape().x), split);
    print_choices(dataset);
  } catch (const Error& error) {
    print_escaped("\nelbo train needs the option --data.x=PATH, or another file: {}\n", error.what());
  }
}

// A file of any other layout: its datasets, and how to name them.
void inspect_layout(const std::string& path) {
  const DataFile file(path);
  print_escaped("HDF5 file {}\n", path);
  // Several links may lead to an object; a group may hold itself.
  std::set<std::pair<uint64_t, uint64_t>> seen{hdf5::identity(file.handle(), "/")};
  constexpr int deepest = 100;  // groups inside of one another
  const std::function<void(const std::string&, int)> walk = [&](const std::string& group, int depth) {
    if (depth > deepest) {
      print_escaped("\n{}\n  TOO DEEP   in more than {} groups; what is inside is not shown\n",
                    shortened(group, 200), deepest);
      return;
    }
    // Its file stays open, also another one than this: identities hold as long.
    const hdf5::Handle opened = hdf5::open_group(file.handle(), group);
    for (const std::string& name : hdf5::list(file.handle(), group)) {
      const std::string inner = (group == "/" ? "" : group) + "/" + name;
      if (hdf5::leads_nowhere(file.handle(), inner)) {
        print_escaped("\n{}\n  BROKEN     a link whose target cannot be reached\n", inner);
      } else if (!seen.insert(hdf5::identity(file.handle(), inner)).second) {
        continue;
      } else if (hdf5::is_group(file.handle(), inner)) {
        walk(inner, depth + 1);
      } else {
        print_storage(file, inner);
        print_values(file, inner);
      }
    }
  };
  walk("/", 0);
  print_meaning(path);
}

bool holds_splits(const std::string& path) {
  const DataFile file(path);
  return std::ranges::any_of(std::array{"/train/x", "/test/x", "/train/offsets", "/test/offsets"},
                             [&](const char* name) { return hdf5::exists(file.handle(), name); });
}

ExitCode inspect(const Environment& environment, const Words& words) {
  OptionTable none;
  const std::optional<CommandLine> line =
      begin(inspect_command(), words, none, 1, 1, "a data set, a checkpoint or the folder of a run");
  if (!line) return ExitCode::ok;
  if (environment.rank() != 0) return ExitCode::ok;
  const std::string& path = line->positional[0];
  if (fs::is_directory(path)) {
    inspect_run(path);
  } else if (is_checkpoint(path)) {
    inspect_checkpoint(path);
  } else if (holds_splits(path)) {
    inspect_data(path);
  } else {
    inspect_layout(path);
  }
  return ExitCode::ok;
}

}  // namespace

Command inspect_command() {
  return {"inspect", "DATA.h5|CHECKPOINT.h5|RUN",
          "prints what a file or a run holds; for data also what reading them costs, with advice", inspect};
}

}  // namespace elbo
