// Tables: of comma- or tab-separated values, of Parquet and of Feather.
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>

#include "elbo/eval/data_columns.h"
#include "elbo/eval/result_writer.h"
#include "elbo/eval/table_lines.h"

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
  TableWriter(ResultFile file, std::unique_ptr<TableLines> lines)
      : file_(std::move(file)), lines_(std::move(lines)) {
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
          lines_->end_line();
        }
    new_rows_ += rows.rows();
  }

  void finish() override { lines_->finish(); }

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
    using Kind = ArrowColumn::Type;
    has_header_ = true;
    std::vector<ArrowColumn> columns;
    const auto add = [&](const std::string& name, Kind kind) { columns.push_back({name, kind}); };
    if (!rows.identities.empty()) {
      has_names_ = have_names(rows.identities);
      add("row", Kind::whole);
      if (file_.several_splits) add("split", Kind::text);
      if (has_names_) add("name", Kind::text);
    } else if (steps_ > 1 || paths_ > 1) {
      add("row", Kind::whole);
    }
    if (paths_ > 1) add("path", Kind::whole);
    if (steps_ > 1) add("step", Kind::whole);
    for (const OutputColumns& plan : plan_)
      for (const DataColumn& column : plan.columns)
        add(column.name, plan.is_text ? Kind::text : type_of(column, plan.is_mean));
    add_label_columns(rows.label, columns);
    lines_->begin(columns);
  }

  void add_label_columns(const torch::Tensor& label, std::vector<ArrowColumn>& columns) const {
    if (!label.defined()) return;
    const bool has_values = label.is_floating_point(),
               has_texts = !has_values && !file_.class_names().empty();
    const int64_t count = label.dim() > 1 ? label.size(1) : 1;
    for (int64_t i = 0; i < count; ++i)
      columns.push_back(
          {count == 1 ? "label" : fmt::format("label_{}", i), has_values  ? ArrowColumn::Type::real
                                                              : has_texts ? ArrowColumn::Type::text
                                                                          : ArrowColumn::Type::whole});
  }

  void add_identity(const ResultRows& rows, int64_t row, int64_t path, int64_t step) {
    if (!rows.identities.empty()) {
      const RowIdentity& identity = rows.identities[static_cast<size_t>(row)];
      lines_->add(identity.row);
      if (file_.several_splits) lines_->add(identity.split);
      if (has_names_) lines_->add(identity.name);
    } else if (steps_ > 1 || paths_ > 1) {
      lines_->add(new_rows_ + row);
    }
    if (paths_ > 1) lines_->add(path);
    if (steps_ > 1) lines_->add(step);
  }

  void add_values(const OutputColumns& plan, const torch::Tensor& values,
                  const std::vector<std::string>& texts, int64_t row, int64_t path, int64_t step) {
    const int64_t place = row * plan.paths + (plan.paths > 1 ? path : 0);
    if (plan.is_text) return lines_->add(texts[static_cast<size_t>(place)]);
    const auto* data =
        values.const_data_ptr<double>() + (place * plan.steps + (plan.steps > 1 ? step : 0)) * plan.features;
    for (const DataColumn& column : plan.columns) lines_->add(column, data, plan.is_mean);
  }

  void add_label(const ResultRows& rows, int64_t row) {
    if (!rows.label.defined()) return;
    if (rows.label.is_floating_point()) {
      const torch::Tensor values = rows.label[row].flatten();
      for (int64_t i = 0; i < values.size(0); ++i) lines_->add(values[i].item<double>());
      return;
    }
    const std::vector<std::string> names = file_.class_names();
    const auto number = rows.label[row].item<int64_t>();
    if (names.empty()) return lines_->add(number);
    const bool is_named = number >= 0 && number < std::ssize(names);
    lines_->add(is_named ? names[static_cast<size_t>(number)] : std::to_string(number));
  }

  ResultFile file_;
  std::unique_ptr<TableLines> lines_;
  std::vector<OutputColumns> plan_;
  int64_t paths_ = 1, steps_ = 1, new_rows_ = 0;
  bool has_header_ = false, has_names_ = false;
};

}  // namespace

std::unique_ptr<ResultWriter> table_writer(ResultFile file) {
  std::unique_ptr<TableLines> lines = lines_of_text(file.path, file.path.ends_with(".tsv") ? '\t' : ',');
  return std::make_unique<TableWriter>(std::move(file), std::move(lines));
}

std::unique_ptr<ResultWriter> arrow_writer(ResultFile file) {
  std::unique_ptr<TableLines> lines = lines_of_arrow(file.path);
  return std::make_unique<TableWriter>(std::move(file), std::move(lines));
}

}  // namespace elbo
