// Tables of separated values, gzipped or not: lines, or windows of consecutive lines, become rows.
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/convert/csv_plan.h"
#include "elbo/convert/format.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace {

struct Standardization {
  torch::Tensor mean, scale;  // (features) float64
};

// Computed from the lines of training rows. Text features are not standardised.
Standardization standardization_of(const CsvPlan& plan, const SplitOptions& options) {
  const std::vector<bool> numeric = plan.numeric();
  const SplitRule rule(options);
  std::vector<double> mean(numeric.size(), 0), squares(numeric.size(), 0), count(numeric.size(), 0);
  int64_t divided = 0;
  plan.read([&](const std::deque<Line>& row, const std::string& split) {
    if (!split.empty() && split != "train") return;
    if (rule.split_of(divided++) != "train") return;
    for (const Line& line : row)
      // Welford 1962. A sum of squares would lose the digits of a small deviation.
      for (size_t i = 0; i < mean.size(); ++i) {
        if (std::isnan(line.values[i])) continue;
        const double difference = line.values[i] - mean[i];
        mean[i] += difference / ++count[i];
        squares[i] += difference * (line.values[i] - mean[i]);
      }
  });
  std::vector<double> scale(mean.size(), 1);
  for (size_t i = 0; i < mean.size(); ++i) {
    if (!numeric[i]) mean[i] = 0;
    if (numeric[i] && squares[i] > 0) scale[i] = std::sqrt(squares[i] / count[i]);
  }
  return {torch::tensor(mean, torch::kFloat64), torch::tensor(scale, torch::kFloat64)};
}

// Collects rows and writes them in batches.
class CsvSink {
 public:
  CsvSink(RowWriter& out, const CsvPlan& plan, int64_t window, std::optional<Standardization> standardization)
      : out_(out), plan_(plan), window_(window), standardization_(std::move(standardization)) {}

  void take(const std::deque<Line>& row, const std::string& split) {
    if (split != split_) flush();
    split_ = split;
    for (const Line& line : row) values_.insert(values_.end(), line.values.begin(), line.values.end());
    labels_.push_back(row.back().label);
    if (plan_.has_names()) names_.push_back(row.back().name);
    before_.insert(before_.end(), row.front().before.begin(), row.front().before.end());
    if (values_.size() > most_waiting) flush();
  }

  void flush() {
    if (labels_.empty()) return;
    const auto count = static_cast<int64_t>(labels_.size());
    const auto lines = std::max<int64_t>(1, window_);
    torch::Tensor x = torch::tensor(values_, torch::kFloat64).reshape({count, lines, -1});
    if (standardization_) x = (x - standardization_->mean) / standardization_->scale;
    if (window_ == 0) x = x.squeeze(1);
    Rows rows{{"x", x.to(torch::kFloat32)}};
    if (plan_.label())
      rows.emplace_back(
          "label",
          torch::tensor(labels_, torch::kFloat64).to(plan_.label()->real ? torch::kFloat32 : torch::kInt32));
    if (!before_.empty())
      rows.emplace_back("before", torch::tensor(before_, torch::kFloat64).reshape({count, -1}));
    out_.append(rows, split_, names_);
    names_.clear();
    before_.clear();
    values_.clear();
    labels_.clear();
  }

 private:
  static constexpr size_t most_waiting = size_t{1} << 18;
  RowWriter& out_;
  const CsvPlan& plan_;
  int64_t window_;
  std::optional<Standardization> standardization_;
  std::string split_;
  std::vector<double> values_, labels_, before_;
  std::vector<std::string> names_;
};

std::string chosen_separator(const CsvOptions& options, const std::string& path) {
  if (options.separator == "tab") return "\t";
  if (options.separator != "auto" && (options.separator.size() != 1 || options.separator == "\""))
    usage_error("--separator={}: expected one character other than a quote, tab or auto", options.separator);
  if (options.separator != "auto") return options.separator;
  const std::string found = find_separator(path);
  if (found != ",")
    log::info("{}: fields are separated by {}", path, found == "\t" ? "tabs" : fmt::format("'{}'", found));
  return found;
}

// As in the data set of --like, or computed from training rows where that is asked for.
std::optional<Standardization> chosen_standardization(const CsvOptions& options, const CsvPlan& plan,
                                                      const std::optional<DataDescription>& like) {
  if (like && like->mean.defined()) return Standardization{like->mean, like->scale};
  if (like && options.standardize)
    usage_error("--standardize: the data of --like={} are not standardised; leave it out", options.like.path);
  if (!options.standardize) return std::nullopt;
  return standardization_of(plan, options.splits);
}

// Changes of the options that follow from --like.
CsvOptions with_like(CsvOptions options, const std::optional<DataDescription>& like) {
  if (!like) return options;
  if (!options.columns.empty() || !options.drop.empty())
    usage_error("--{}: the columns are those of --like={}", options.columns.empty() ? "drop" : "columns",
                options.like.path);
  if (options.missing == "mean")
    usage_error("--missing=mean: these rows have another mean than those of --like={}; use drop or keep",
                options.like.path);
  options.transform = like->change;
  return options;
}

void convert_csv(const std::vector<std::string>& inputs, const Target& target, const CsvOptions& given) {
  const std::optional<DataDescription> like = given.like.description();
  const CsvOptions options = with_like(given, like);
  if (options.stride > 0 && options.window == 0) usage_error("--stride: needs --window=T, the lines per row");
  if (options.stride > 0 && options.stride < options.window && options.splits.divides())
    usage_error(
        "--stride={}: windows of {} lines overlap, so splits would share lines; expected --stride={}, or "
        "files named train, validation and test instead of fractions",
        options.stride, options.window, options.window);
  const CsvPlan plan(
      options,
      {inputs, chosen_separator(options, inputs.front()), options.header, split(options.missing_values, ',')},
      like);
  std::optional<Standardization> standardization = chosen_standardization(options, plan, like);
  DatasetWriter out(target, options.window > 0 ? "sequence" : "tabular");
  if (standardization) {
    out.write("/standardization/mean", standardization->mean);
    out.write("/standardization/scale", standardization->scale);
  }
  RowWriter rows(out, options.splits);
  CsvSink sink(rows, plan, options.window, std::move(standardization));
  plan.read([&](const std::deque<Line>& row, const std::string& split) { sink.take(row, split); });
  sink.flush();
  if (plan.label()) rows.name_classes(plan.label()->names);
  rows.finish();
  out.write_texts("/features", plan.feature_names());
  if (const std::string categories = plan.categories(); !categories.empty() && options.window == 0)
    out.attribute("/", "one_hot_columns", categories);
  if (options.transform != "none") out.attribute("/", "transform", options.transform);
  if (const std::string forms = plan.number_forms(); !forms.empty())
    out.attribute("/", "number_forms", forms);
  for (const Feature& feature : plan.features())
    if (feature.meaning == Meaning::code) out.attribute("/features", plan.name_of(feature), feature.names);
  out.commit();
}

Format table_format(const std::string& name, const std::string& summary, const std::string& separator) {
  CsvOptions defaults;
  defaults.separator = separator;
  return {.name = name,
          .takes = "FILE…",
          .summary = summary,
          .least = 1,
          .most = 1000,
          .bind = with_options(convert_csv, defaults)};
}

}  // namespace

Format csv_format() {
  return table_format("csv",
                      "tables of comma-separated values, gzipped or not, and of Parquet and Feather; files "
                      "named train, validation or "
                      "test give the splits",
                      "auto");
}

Format tsv_format() { return table_format("tsv", "tables of tab-separated values, otherwise as csv", "tab"); }

}  // namespace elbo
