#include "elbo/nn/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

constexpr std::array<std::string_view, 4> kind_names{"gaussian", "bernoulli", "count",
                                                     "categorical"};  // by ColumnKind

[[noreturn]] void reject_block(const std::string& text) {
  usage_error(
      "model.likelihood_columns={}: expected auto, or the kinds of the columns from left to right with their "
      "numbers, such as gaussian:4,categorical:3,bernoulli; the kinds are gaussian, bernoulli, count and "
      "categorical, one variable of at least 2 columns",
      text);
}

ColumnBlock parse_block(const std::string& text) {
  const size_t colon = text.find(':');
  const std::string name = trim(text.substr(0, colon));
  const auto* const found = std::ranges::find(kind_names, std::string_view(name));
  if (found == kind_names.end()) reject_block(text);
  ColumnBlock block{.kind = static_cast<ColumnKind>(found - kind_names.begin())};
  if (colon != std::string::npos) {
    const std::string number = trim(text.substr(colon + 1));
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), block.columns);
    if (error != std::errc() || end != number.data() + number.size()) reject_block(text);
  }
  constexpr int64_t most_columns = 1 << 24;
  const int64_t fewest = block.kind == ColumnKind::categorical ? 2 : 1;
  if (block.columns < fewest || block.columns > most_columns) reject_block(text);
  return block;
}

}  // namespace

std::vector<ColumnBlock> parse_columns(const std::string& text) {
  std::vector<ColumnBlock> blocks;
  for (const std::string& part : split(text, ',')) blocks.push_back(parse_block(part));
  if (blocks.empty()) reject_block(text);
  return blocks;
}

std::string columns_text(const std::vector<ColumnBlock>& blocks) {
  std::vector<ColumnBlock> joined;
  for (const ColumnBlock& block : blocks) {
    const bool extends =
        !joined.empty() && joined.back().kind == block.kind && block.kind != ColumnKind::categorical;
    if (extends)
      joined.back().columns += block.columns;
    else
      joined.push_back(block);
  }
  std::vector<std::string> parts;
  parts.reserve(joined.size());
  for (const ColumnBlock& block : joined)
    parts.push_back(fmt::format("{}:{}", kind_names.at(static_cast<size_t>(block.kind)), block.columns));
  return join(parts, ",");
}

int64_t column_count(const std::vector<ColumnBlock>& blocks) {
  int64_t count = 0;
  for (const ColumnBlock& block : blocks) count += block.columns;
  return count;
}

bool has_kind(const std::vector<ColumnBlock>& blocks, ColumnKind kind) {
  return std::ranges::any_of(blocks, [&](const ColumnBlock& block) { return block.kind == kind; });
}

std::vector<ColumnKind> kinds_by_column(const std::vector<ColumnBlock>& blocks) {
  std::vector<ColumnKind> kinds;
  kinds.reserve(static_cast<size_t>(column_count(blocks)));
  for (const ColumnBlock& block : blocks)
    kinds.insert(kinds.end(), static_cast<size_t>(block.columns), block.kind);
  return kinds;
}

Support support_of(ColumnKind kind) {
  if (kind == ColumnKind::gaussian) return Support::real;
  return kind == ColumnKind::count ? Support::counts : Support::unit_interval;
}

}  // namespace elbo
