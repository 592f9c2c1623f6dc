#include "elbo/convert/array_splits.h"

#include <torch/types.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/data/decide_view.h"

namespace elbo {
namespace {

// The shape of a row in the data set.
std::vector<int64_t> row_shape(const ArraySplit& arrays, bool channels_last) {
  std::vector<int64_t> row(arrays.x.shape().begin() + 1, arrays.x.shape().end());
  if (!channels_last) return row;
  if (row.size() != 3 && row.size() != 4)
    usage_error(
        "--channels_last: {} has rows of {} dimensions; expected (height, width, channels) or (depth, "
        "height, width, channels)",
        arrays.x.name(), row.size());
  std::rotate(row.begin(), row.end() - 1, row.end());
  return row;
}

// --kind=auto: pixels with two dimensions, and rows with three dimensions and 1, 3 or 4 channels, are images;
// rows with nearly equal sides (data/decide_view.h) are volumes.
std::string kind_of(const std::vector<int64_t>& row, const NpyReader& x) {
  constexpr int64_t smallest_camera = 16;
  if (row.size() <= 1) return "tabular";
  const bool counts = x.is_uint16() && std::ranges::min(row) >= smallest_camera;
  if (row.size() == 2) return x.type() == torch::kUInt8 || counts ? "image" : "sequence";
  std::vector<int64_t> rows = row;
  rows.insert(rows.begin(), 1);
  if (!axes_of_volumes(rows, /*is_said=*/false, /*matlab=*/false).empty()) return "volume";
  return row.size() == 3 && (row[0] == 1 || row[0] == 3 || row[0] == 4) ? "image" : "sequence";
}

// Images that only --kind=sequence would take for something else.
bool takes_channels_last(const NpyReader& x, const ArrayOptions& options) {
  if ((options.kind != "auto" && options.kind != "image") || !are_channels_last(x.shape())) return false;
  log::info(
      "{}: rows (height, width, channels) become images (channels, height, width); --kind=sequence does not",
      x.name());
  return true;
}

void require_fit(const std::vector<ArraySplit>& arrays) {
  const ArraySplit& first = arrays.front();
  for (const ArraySplit& each : arrays) {
    if (each.x.has_texts())
      usage_error("{}: holds texts; expected numbers, or for a corpus lines of text and elbo convert text",
                  each.x.name());
    const bool same_row = std::equal(first.x.shape().begin() + 1, first.x.shape().end(),
                                     each.x.shape().begin() + 1, each.x.shape().end());
    if (!same_row || first.x.type() != each.x.type())
      usage_error("{}: the shape or type of its rows differs from {}; expected the same for all splits",
                  each.x.name(), first.x.name());
    if (!each.label) continue;
    if (each.label->rows() != each.x.rows())
      usage_error("{}: holds {} labels for the {} rows of {}; expected one label per row", each.label->name(),
                  each.label->rows(), each.x.rows(), each.x.name());
    const bool real = !each.label->has_texts() && torch::isFloatingType(each.label->type());
    const std::vector<int64_t>& shape = each.label->shape();
    const bool is_column = shape.size() == 2 && shape.back() == 1;
    if (shape.size() > (real || is_column ? 2U : 1U))
      usage_error(
          "{}: has {} dimensions; expected labels: (rows) or (rows, 1) integers or texts, or (rows) or "
          "(rows, k) floats",
          each.label->name(), shape.size());
  }
}

// Classes of labels that are texts, and their names in sorted order.
std::vector<std::string> read_text_labels(std::vector<ArraySplit>& arrays) {
  std::vector<std::vector<std::string>> texts;
  std::vector<std::string> names;
  size_t labelled = 0, with_texts = 0;
  for (ArraySplit& each : arrays) {
    texts.emplace_back();
    if (!each.label) continue;
    ++labelled;
    if (!each.label->has_texts()) continue;
    ++with_texts;
    texts.back() = each.label->texts();
    names.insert(names.end(), texts.back().begin(), texts.back().end());
  }
  if (with_texts > 0 && with_texts < labelled)
    usage_error("{}: some labels are texts and others numbers; expected the same in all splits",
                arrays.front().x.name());
  names = sorted_classes(std::move(names));
  std::map<std::string_view, int64_t> number;
  for (const std::string& name : names) number.emplace(name, std::ssize(number));
  for (size_t i = 0; i < arrays.size(); ++i) {
    arrays[i].classes.reserve(texts[i].size());
    for (const std::string& text : texts[i]) arrays[i].classes.push_back(number.at(text));
  }
  return names;
}

torch::Tensor next_labels(NpyReader& label, const std::vector<int64_t>& classes, int64_t first,
                          int64_t count) {
  if (!label.has_texts()) {
    torch::Tensor labels = label.next(count);
    return labels.is_floating_point() ? labels : labels.flatten();
  }
  const auto begin = classes.begin() + first;
  return torch::tensor(std::vector<int64_t>(begin, begin + count), torch::kInt64);
}

void convert_split(RowWriter& out, ArraySplit& arrays, const std::vector<int64_t>& row, bool channels_last) {
  const int64_t all = arrays.x.rows();
  for (int64_t done = 0; done < all;) {
    const int64_t count = std::min(arrays.x.rows_per_piece(), all - done);
    torch::Tensor x = arrays.x.next(count);
    if (channels_last) x = x.movedim(-1, 1).contiguous();
    std::vector<int64_t> shape{count};
    shape.insert(shape.end(), row.begin(), row.end());
    Rows rows{{"x", x.reshape(shape)}};
    if (arrays.label) rows.emplace_back("label", next_labels(*arrays.label, arrays.classes, done, count));
    out.append(rows, arrays.split);
    done += count;
  }
  arrays.x.require_end();
  if (arrays.label) arrays.label->require_end();
}

}  // namespace

void ArrayOptions::bind(OptionTable& table) {
  table.add_choice("kind", kind, {"auto", "image", "volume", "tabular", "sequence", "tokens", "audio"},
                   "what the rows are; auto: decided by their shape");
  table.add("channels_last", channels_last,
            "rows are (height, width, channels) or (depth, height, width, channels), and become (channels, "
            "height, width) or (channels, depth, height, width)");
  splits.bind(table);
}

void convert_arrays(std::vector<ArraySplit> arrays, const ArrayOptions& options, const Target& target) {
  require_fit(arrays);
  const bool channels_last = options.channels_last || takes_channels_last(arrays.front().x, options);
  std::vector<int64_t> row = row_shape(arrays.front(), channels_last);
  const std::string kind = options.kind == "auto" ? kind_of(row, arrays.front().x) : options.kind;
  if (row.empty()) row = {1};
  if (kind == "image" || kind == "volume") {
    const std::string depth = kind == "volume" ? "depth, " : "";
    const size_t dimensions = kind == "volume" ? 4 : 3;
    if (row.size() + 1 == dimensions) row.insert(row.begin(), 1);
    if (row.size() != dimensions)
      usage_error(
          "--kind={}: {} has rows of {} dimensions; expected ({}height, width) or (channels, {}height, "
          "width)",
          kind, arrays.front().x.name(), row.size(), depth, depth);
  }
  DatasetWriter out(target, kind);
  RowWriter rows(out, options.splits);
  if (std::vector<std::string> names = read_text_labels(arrays); !names.empty())
    rows.name_classes(std::move(names));
  for (ArraySplit& each : arrays) convert_split(rows, each, row, channels_last);
  rows.finish();
  out.commit();
}

}  // namespace elbo
