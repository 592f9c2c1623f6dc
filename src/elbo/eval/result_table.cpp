// Tables of comma- or tab-separated values.
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <fstream>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/text.h"
#include "elbo/eval/data_columns.h"
#include "elbo/eval/result_writer.h"

namespace elbo {
namespace {

// An output as columns: its values are (n, paths, steps, features), with one path or step where it has none.
struct OutputColumns {
  int64_t paths = 1, steps = 1, features = 1;
  bool is_text = false;  // tokens
  bool is_mean = false;
  bool in_units = false;
  std::vector<DataColumn> columns{};
};

// A row is a line. A row of a sequence whose features have names has a line for each step; several rows in an
// output, such as paths of a prediction, have separate lines.
class TableWriter final : public ResultWriter {
 public:
  explicit TableWriter(ResultFile file)
      : file_(std::move(file)),
        separator_(file_.path.ends_with(".tsv") ? '\t' : ','),
        target_(file_.path),
        out_(target_.temporary_path(), std::ios::binary) {
    for (const RowOutput& output : file_.outputs) {
      plan_.push_back(plan_of(output));
      paths_ = std::max(paths_, plan_.back().paths);
      steps_ = std::max(steps_, plan_.back().steps);
    }
  }

  void append(const ResultRows& rows) override {
    if (!has_header_) write_header(rows);
    std::vector<torch::Tensor> values;
    std::vector<std::vector<std::string>> texts(plan_.size());
    for (size_t i = 0; i < plan_.size(); ++i) {
      values.push_back(values_of(plan_[i], rows.values[i], rows.before));
      if (plan_[i].is_text)
        texts[i] = file_.description.vocabulary.texts(rows.values[i].reshape({-1, rows.values[i].size(-1)}));
    }
    for (int64_t row = 0; row < rows.rows(); ++row)
      for (int64_t path = 0; path < paths_; ++path)
        for (int64_t step = 0; step < steps_of(rows, row); ++step) {
          add_identity(rows, row, path, step);
          for (size_t i = 0; i < plan_.size(); ++i)
            add_values(plan_[i], values[i], texts[i], row, path, step);
          add_label(rows, row);
          end_line();
        }
    new_rows_ += rows.rows();
    out_.write(text_.data(), static_cast<std::streamsize>(text_.size()));
    text_.clear();
  }

  void finish() override {
    out_.close();
    if (!out_) fail("{}: cannot be written; is the disk full?", file_.path);
    target_.commit();
  }

 private:
  OutputColumns plan_of(const RowOutput& output) const {
    std::vector<int64_t> shape = output.shape;
    OutputColumns plan{.is_mean = output.is_mean};
    const bool several = output.is_data && shape.size() > file_.shape.x.size();
    if (several) {
      plan.paths = shape.front();
      shape.erase(shape.begin());
    }
    plan.is_text = output.is_data && file_.shape.tokens > 0;
    if (plan.is_text) {
      plan.columns = {{.name = output.name}};
      return plan;
    }
    if (output.is_data && !shape.empty() && shape.size() <= 2)
      plan.columns = columns_of(file_.description, shape.back());
    plan.in_units = !plan.columns.empty();
    if (plan.in_units) {
      if (shape.size() == 2) plan.steps = shape.front();
      plan.features = shape.back();
      if (file_.outputs.size() > 1)
        for (DataColumn& column : plan.columns) column.name = output.name + "_" + column.name;
      return plan;
    }
    for (const int64_t size : shape) plan.features *= size;
    for (int64_t i = 0; i < plan.features; ++i)
      plan.columns.push_back(
          {.name = shape.empty() ? output.name : fmt::format("{}_{}", output.name, i), .first = i});
    return plan;
  }

  torch::Tensor values_of(const OutputColumns& plan, const torch::Tensor& values,
                          const torch::Tensor& before) const {
    if (plan.is_text) return {};
    const torch::Tensor all =
        values.to(torch::kFloat64).reshape({values.size(0), plan.paths, plan.steps, plan.features});
    return (plan.in_units ? in_units_of_table(file_.description, all, before) : all).contiguous();
  }

  // Without the padding of sequences.
  int64_t steps_of(const ResultRows& rows, int64_t row) const {
    if (steps_ == 1 || !rows.length.defined()) return steps_;
    return std::min(steps_, rows.length[row].item<int64_t>());
  }

  void write_header(const ResultRows& rows) {
    has_header_ = true;
    if (!rows.identities.empty()) {
      has_names_ = !rows.identities.front().name.empty();
      add("row");
      if (file_.several_splits) add("split");
      if (has_names_) add("name");
    } else if (steps_ > 1 || paths_ > 1) {
      add("row");
    }
    if (paths_ > 1) add("path");
    if (steps_ > 1) add("step");
    for (const OutputColumns& plan : plan_)
      for (const DataColumn& column : plan.columns) add(column.name);
    const int64_t labels = rows.label.defined() && rows.label.dim() > 1 ? rows.label.size(1) : 1;
    if (rows.label.defined())
      for (int64_t i = 0; i < labels; ++i) add(labels == 1 ? "label" : fmt::format("label_{}", i));
    end_line();
  }

  void add_identity(const ResultRows& rows, int64_t row, int64_t path, int64_t step) {
    if (!rows.identities.empty()) {
      const RowIdentity& identity = rows.identities[static_cast<size_t>(row)];
      add(std::to_string(identity.row));
      if (file_.several_splits) add(identity.split);
      if (has_names_) add(identity.name);
    } else if (steps_ > 1 || paths_ > 1) {
      add(std::to_string(new_rows_ + row));
    }
    if (paths_ > 1) add(std::to_string(path));
    if (steps_ > 1) add(std::to_string(step));
  }

  void add_values(const OutputColumns& plan, const torch::Tensor& values,
                  const std::vector<std::string>& texts, int64_t row, int64_t path, int64_t step) {
    const int64_t place = row * plan.paths + (plan.paths > 1 ? path : 0);
    if (plan.is_text) return add(texts[static_cast<size_t>(place)]);
    const auto* data =
        values.const_data_ptr<double>() + (place * plan.steps + (plan.steps > 1 ? step : 0)) * plan.features;
    for (const DataColumn& column : plan.columns) add(column.text(data, plan.is_mean));
  }

  void add_label(const ResultRows& rows, int64_t row) {
    if (!rows.label.defined()) return;
    if (rows.label.is_floating_point()) {
      const torch::Tensor values = rows.label[row].flatten();
      for (int64_t i = 0; i < values.size(0); ++i) add(number_text(values[i].item<double>()));
      return;
    }
    const std::vector<std::string> names = file_.class_names();
    const auto number = rows.label[row].item<int64_t>();
    add(number >= 0 && number < std::ssize(names) ? names[static_cast<size_t>(number)]
                                                  : std::to_string(number));
  }

  // A line that begins with an empty field has quotes there: it is not empty.
  void add(const std::string& field) {
    if (!line_.empty()) line_ += separator_;
    line_ += field.empty() && line_.empty() ? "\"\"" : as_field(field, separator_);
  }

  void end_line() {
    text_ += line_ + '\n';
    line_.clear();
  }

  ResultFile file_;
  char separator_;
  AtomicFile target_;
  std::ofstream out_;
  std::vector<OutputColumns> plan_;
  int64_t paths_ = 1, steps_ = 1, new_rows_ = 0;
  bool has_header_ = false, has_names_ = false;
  std::string line_, text_;
};

}  // namespace

std::unique_ptr<ResultWriter> table_writer(ResultFile file) {
  return std::make_unique<TableWriter>(std::move(file));
}

}  // namespace elbo
