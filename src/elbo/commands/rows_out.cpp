#include "elbo/commands/rows_out.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "elbo/base/log.h"
#include "elbo/data/data_files.h"
#include "elbo/eval/map_rows.h"
#include "elbo/run/device.h"

namespace elbo {
namespace {

constexpr int64_t usual_columns = 16;

bool several_splits(const RowsOut& rows) {
  if (rows.source == nullptr || rows.rows == 0) return false;
  const auto split_at = [&](int64_t row) {
    return rows.source->identity(rows.places.empty() ? row : rows.places[static_cast<size_t>(row)]).split;
  };
  return split_at(0) != split_at(rows.rows - 1);
}

// For one rank.
ResultFile file_for(const OutputOptions& options, const SavedRun& run, const RowsOut& rows) {
  ResultFile file{.path = options.out,
                  .outputs = rows.outputs,
                  .main = rows.main,
                  .several_splits = several_splits(rows),
                  .columns = std::min(rows.rows, rows.columns > 0 ? rows.columns : usual_columns),
                  .byte = run.model->transform().kind == "bytes" ? 1.0 : 255.0,
                  .shape = run.checkpoint.data,
                  .description_file = run.description_file()};
  if (file.description_file.empty()) {
    if (!file.shape.has_pixels())
      log::warning("{} is not there: columns have no names, and numbers are those of the data set",
                   run.data_path);
    return file;
  }
  const auto lock = hdf5::lock();
  file.description = describe_data(DataFile(file.description_file));
  return file;
}

// The lines before the rows of each split, where the data set has changes from line to line (elbo convert
// csv).
class LinesBefore {
 public:
  explicit LinesBefore(const std::string& data_path) : file_(data_files(data_path).front()) {}

  // (n, features), or undefined.
  torch::Tensor of(const std::vector<RowIdentity>& identities) {
    std::vector<torch::Tensor> lines;
    for (const RowIdentity& identity : identities) {
      const torch::Tensor& all = of_split(identity.split);
      if (!all.defined() || identity.row >= all.size(0)) return {};
      lines.push_back(all[identity.row]);
    }
    return lines.empty() ? torch::Tensor() : torch::stack(lines);
  }

 private:
  const torch::Tensor& of_split(const std::string& split) {
    const auto [found, added] = of_splits_.try_emplace(split);
    const auto lock = hdf5::lock();
    const std::string path = "/" + split + "/before";
    if (added && hdf5::exists(file_.handle(), path))
      found->second = hdf5::read_tensor(hdf5::open_dataset(file_.handle(), path)).to(torch::kFloat64);
    return found->second;
  }

  DataFile file_;
  std::map<std::string, torch::Tensor> of_splits_;
};

// None where they are not needed, or rows are spread over several files.
void find_lines_before(const RunInUse& used, const RowsOut& rows, const DataDescription& description,
                       std::optional<LinesBefore>& lines) {
  const bool needed = description.change != "none" && rows.source != nullptr && rows.from_their_beginning;
  const std::string& path = used.run.config->data.path;
  if (needed && data_files(path).size() == 1) lines.emplace(path);
}

// What rows first … of a source are, besides their results.
void add_what_is_known(const RowsOut& rows, int64_t first, std::optional<LinesBefore>& before,
                       ResultRows& results) {
  const int64_t count = results.rows();
  if (rows.source != nullptr) {
    std::vector<int64_t> places(static_cast<size_t>(count));
    std::iota(places.begin(), places.end(), first);
    if (!rows.places.empty())
      for (int64_t& place : places) place = rows.places[static_cast<size_t>(place)];
    for (const int64_t place : places) results.identities.push_back(rows.source->identity(place));
    const Batch batch = rows.source->read(places);
    results.label = batch.label;
    if (!rows.whole_rows) results.length = batch.length;
    if (before) results.before = before->of(results.identities);
  } else if (!rows.identities.empty()) {
    const auto begin = rows.identities.begin() + first;
    results.identities.assign(begin, begin + count);
  }
  if (rows.label.defined()) results.label = rows.label.narrow(0, first, count).cpu();
}

}  // namespace

bool writes_in_units(const OutputOptions& options, const SavedRun& run) {
  const std::string& kind = run.model->transform().kind;
  return kind != "bytes" && !(options.is_picture() && kind == "unit");
}

struct RowsWriter::File {
  std::unique_ptr<ResultWriter> writer;
  std::optional<LinesBefore> before;
};

RowsWriter::RowsWriter(const OutputOptions& options, const RunInUse& used, RowsOut rows)
    : options_(options), used_(used), rows_(std::move(rows)) {
  if (!used.is_root()) return;
  file_ = std::make_unique<File>();
  ResultFile file = file_for(options, used.run, rows_);
  check_results(options, file);
  find_lines_before(used, rows_, file.description, file_->before);
  file_->writer = open_results(std::move(file));
}

RowsWriter::~RowsWriter() = default;

void RowsWriter::write(const std::string& threads, const ModelFunction& function) {
  const SavedRun& run = used_.run;
  const torch::NoGradGuard no_grad;
  const int64_t microbatch = run.config->evaluate.microbatch;
  Workers workers(
      worker_count(threads, used_.environment, run.device, (rows_.rows + microbatch - 1) / microbatch));
  const std::vector<std::shared_ptr<Model>> models = run.replicas(workers.count());
  const bool in_units = writes_in_units(options_, run);
  const auto undo = [&](const RowOutput& output) {
    return in_units && output.is_data &&
           std::ranges::find(rows_.already_in_units, output.name) == rows_.already_in_units.end();
  };
  map_rows(
      *used_.world, workers, rows_.rows, microbatch, rows_.outputs,
      [&](int worker, int64_t number, int64_t first, int64_t end) {
        Model& model = *models[static_cast<size_t>(worker)];
        std::vector<torch::Tensor> outputs = function(model, number, first, end);
        for (size_t i = 0; i < outputs.size(); ++i)
          if (undo(rows_.outputs[i])) outputs[i] = model.transform().undo(outputs[i]);
        return outputs;
      },
      [&](int64_t first, const std::vector<torch::Tensor>& outputs) {
        ResultRows results{.values = outputs};
        add_what_is_known(rows_, first, file_->before, results);
        file_->writer->append(results);
        if (rows_.seen) rows_.seen(results);
      });
  if (file_) file_->writer->finish();
}

void write_rows(const OutputOptions& options, const RunInUse& used, const std::string& threads,
                const RowsOut& rows, const ModelFunction& function) {
  RowsWriter(options, used, rows).write(threads, function);
}

void bind_rows_asked(OptionTable& table, std::string& n, int64_t images) {
  table.add_number_or(
      "n", n, {"auto", "all"},
      fmt::format("number of rows, from the beginning of the split; auto: all, of .png and .gif {}", images),
      Range::at_least(1));
}

int64_t rows_asked(const std::string& n, int64_t images, const OutputOptions& options,
                   const RowSource& source) {
  if (n == "all" || (n == "auto" && !options.is_picture())) return source.rows();
  return std::min<int64_t>(n == "auto" ? images : std::stoll(n), source.rows());
}

void DrawOptions::bind(OptionTable& table, const std::string& otherwise) {
  table.add_choice(
      "elements", elements, {"auto", "drawn", "mean", "mode"},
      "how elements are chosen from p(x|z); drawn: at random; mean: their mean, of tokens the most "
      "probable; mode: the most probable; auto: " +
          otherwise);
  table.add("temperature", temperature,
            "of drawn elements: logits are divided by it, other elements deviate that many times as far from "
            "their mean",
            Range::above(0));
  table.add("seed", seed, "seed of the random numbers", Range::at_least(0));
}

Elements DrawOptions::how(Elements otherwise) const {
  const Elements chosen = elements == "drawn"  ? Elements::drawn
                          : elements == "mean" ? Elements::mean
                          : elements == "mode" ? Elements::mode
                                               : otherwise;
  if (temperature != 1 && chosen != Elements::drawn)
    usage_error("--temperature={}: has an effect on drawn elements only; add --elements=drawn", temperature);
  return chosen;
}

void write_decoded(const OutputOptions& options, const RunInUse& used, const std::string& threads,
                   RowsOut rows, const torch::Tensor& z, const torch::Tensor& label, const DrawOptions& draw,
                   Elements otherwise) {
  const Elements how = draw.how(otherwise);
  rows.outputs = {{"x", used.run.checkpoint.data.x, true, how == Elements::mean}};
  rows.rows = z.size(0);
  if (label.defined() && used.run.model->conditional()) rows.label = label;
  write_rows(options, used, threads, rows, [&](Model& model, int64_t microbatch, int64_t first, int64_t end) {
    RandomGenerator noise(draw.key("elements").with(static_cast<uint64_t>(microbatch)), used.run.device);
    const torch::Tensor condition = label.defined() ? label.slice(0, first, end) : label;
    return std::vector{model.decode_as(z.slice(0, first, end), condition,
                                       {.how = how, .temperature = draw.temperature, .noise = &noise})};
  });
}

}  // namespace elbo
