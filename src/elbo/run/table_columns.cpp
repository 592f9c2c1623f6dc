#include "elbo/run/table_columns.h"

#include <torch/types.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/run/row_pass.h"

namespace elbo {
namespace {

constexpr const char* columns_key = "model.likelihood_columns";

// What one pass over the rows finds: for each column a number that can be joined by max, and the sum of whole
// numbers, which is exact in any order.
class ColumnPass {
 public:
  explicit ColumnPass(int64_t columns)
      : columns_(columns),
        largest_(static_cast<size_t>(5 * columns), -std::numeric_limits<double>::infinity()),
        sums_(static_cast<size_t>(2 * columns), 0) {}

  void add(const Batch& batch) {  // x (n, columns)
    const torch::Tensor x = batch.x.contiguous();
    const torch::Tensor mask = batch.observed.defined() ? batch.observed.contiguous() : torch::Tensor();
    const auto* row = x.const_data_ptr<float>();
    const bool* observed = mask.defined() ? mask.const_data_ptr<bool>() : nullptr;
    for (int64_t i = 0; i < x.size(0); ++i, row += columns_) {
      add_values(row, observed);
      add_ones(row, observed);
      if (observed != nullptr) observed += columns_;
    }
  }

  TableColumns conclude(Communicator& world, const std::map<int64_t, int64_t>& named_categories) {
    join(world, largest_, ReduceOp::max);
    join(world, sums_, ReduceOp::sum);
    TableColumns table;
    table.values.resize(static_cast<size_t>(columns_));
    for (int64_t i = 0; i < columns_; ++i)
      table.values[static_cast<size_t>(i)] = {.lowest = -at(negative, i),
                                              .highest = at(value, i),
                                              .mean = sum(total, i) / std::max(1.0, sum(count, i)),
                                              .whole = at(fraction, i) <= 0};
    for (int64_t i = 0; i < columns_;) {
      const auto named = named_categories.find(i);
      const bool as_named = named != named_categories.end() && are_binary(table.values, i, i + named->second);
      const int64_t width =
          as_named ? named->second : std::max<int64_t>(1, width_of_category(table.values, i));
      const ColumnKind kind =
          width > 1 ? ColumnKind::categorical : kind_of(table.values[static_cast<size_t>(i)]);
      table.blocks.push_back({.kind = kind, .columns = width});
      i += width;
    }
    return table;
  }

 private:
  // The largest value, its negative and the distance from whole numbers of a column; of the columns from this
  // one on, the largest place of a row's first 1, and the negative of the smallest place of its second.
  enum Largest : int64_t { value, negative, fraction, first_one, negative_second_one };
  enum Sum : int64_t { count, total };
  double& at(Largest what, int64_t column) { return largest_[static_cast<size_t>(what * columns_ + column)]; }
  double& sum(Sum what, int64_t column) { return sums_[static_cast<size_t>(what * columns_ + column)]; }
  static void join(Communicator& world, std::vector<double>& values, ReduceOp op) {
    torch::Tensor tensor =
        torch::from_blob(values.data(), {static_cast<int64_t>(values.size())}, torch::kFloat64);
    world.all_reduce(tensor, op);
  }
  static void raise(double& to, double by) { to = std::max(to, by); }

  // observed: of the columns of the row; null where none is missing.
  void add_values(const float* row, const bool* observed) {
    for (int64_t i = 0; i < columns_; ++i) {
      if (observed != nullptr && !observed[i]) continue;
      const double x = row[i];
      raise(at(value, i), x);
      raise(at(negative, i), -x);
      raise(at(fraction, i), std::fabs(x - std::round(x)));
      sum(count, i) += 1;
      sum(total, i) += std::round(x);
    }
  }

  // A missing value may be the 1 of its row.
  void add_ones(const float* row, const bool* observed) {
    const auto none = static_cast<double>(columns_);
    double first = none, next = none,
           after_next = none;  // places: of a 1 or a missing value; of the next two ones
    for (int64_t i = columns_ - 1; i >= 0; --i) {
      const auto place = static_cast<double>(i);
      const bool missing = observed != nullptr && !observed[i];
      if (missing || row[i] == 1) first = place;
      if (!missing && row[i] == 1) {
        after_next = next;
        next = place;
      }
      raise(at(first_one, i), first);
      raise(at(negative_second_one, i), -after_next);
    }
  }

  // The number of columns from `begin` on of which exactly one is 1 in each row, the others 0; 0: none.
  int64_t width_of_category(const std::vector<ColumnValues>& values, int64_t begin) {
    const auto last = static_cast<int64_t>(at(first_one, begin));
    if (last >= columns_ || last == begin) return 0;
    const bool one_each = -at(negative_second_one, begin) > static_cast<double>(last);
    return one_each && are_binary(values, begin, last + 1) ? last + 1 - begin : 0;
  }

  static bool are_binary(const std::vector<ColumnValues>& values, int64_t first, int64_t end) {
    return std::all_of(values.begin() + first, values.begin() + end,
                       [](const ColumnValues& column) { return column.binary(); });
  }

  static ColumnKind kind_of(const ColumnValues& values) {
    if (values.binary()) return ColumnKind::bernoulli;
    return values.counts() ? ColumnKind::count : ColumnKind::gaussian;
  }

  int64_t columns_;
  std::vector<double> largest_, sums_;  // (5, columns), (2, columns)
};

// The number of columns of each category, by its first column.
std::map<int64_t, int64_t> parse_categories(const std::string& text, int64_t columns) {
  std::map<int64_t, int64_t> widths;
  for (const std::string& part : split(text, ',')) {
    int64_t first = -1, width = 0;
    const char* const end = part.data() + part.size();
    const auto [colon, wrong] = std::from_chars(part.data(), end, first);
    if (wrong == std::errc() && colon != end && *colon == ':') std::from_chars(colon + 1, end, width);
    if (first < 0 || width < 2 || first > columns - width)
      usage_error(
          "the data set's root attribute one_hot_columns is \"{}\"; expected the first column of each "
          "category "
          "and the number of its columns within {} columns, such as 4:3,7:2; correct it, or delete it",
          text, columns);
    widths[first] = width;
  }
  return widths;
}

void require_table(const DataShape& shape) {
  if (shape.x.size() != 1 || shape.tokens > 0)
    usage_error(
        "model.likelihood=mixed: needs rows of a table, (columns); this data set has rows of shape {}; use "
        "another likelihood",
        shape_text(shape.x));
}

}  // namespace

TableColumns look_at_columns(Communicator& world, const RowSource& rows, const DataShape& shape,
                             const std::string& named_categories) {
  const RowPass pass(world, rows, shape.features());
  ColumnPass columns(shape.features());
  for (int64_t part = pass.own().first; part < pass.own().end; ++part) columns.add(pass.read(part));
  return columns.conclude(world, parse_categories(named_categories, shape.features()));
}

TableColumns look_at_columns(Communicator& world, const Dataset& data) {
  return look_at_columns(world, data.split("train"), data.shape(), data.attribute("one_hot_columns"));
}

void settle_columns(Communicator& world, RunConfig& config, const Dataset& data, const Checkpoint* start) {
  OptionTable table = config.table();
  if (table.value("model.likelihood") != "mixed") return;
  require_table(data.shape());
  std::string columns = table.value(columns_key);
  if (columns == "auto" && start != nullptr)
    columns = saved_config(start->config, config.directory())->table().value(columns_key);
  if (columns == "auto") columns = columns_text(look_at_columns(world, data).blocks);
  if (const int64_t named = column_count(parse_columns(columns)); named != data.shape().features())
    usage_error("{}={}: names {} columns, but {} has {}", columns_key, columns, named, config.data.path,
                data.shape().features());
  table.set({columns_key, columns}, "");
}

std::vector<ColumnBlock> mixed_columns(RunConfig& config) {
  const OptionTable table = config.table();
  if (table.value("model.likelihood") != "mixed") return {};
  return parse_columns(table.value(columns_key));
}

}  // namespace elbo
