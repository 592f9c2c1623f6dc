// What the columns of a table hold: how the mixed likelihood explains each of them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/base/support.h"

namespace elbo {

enum class ColumnKind { gaussian, bernoulli, count, categorical };

// Consecutive columns of one kind. categorical: together they are one variable, with a column for each of its
// categories, of which one is 1 and the others are 0.
struct ColumnBlock {
  ColumnKind kind = ColumnKind::gaussian;
  int64_t columns = 1;
};

// "gaussian:4,categorical:3,bernoulli": without a number, one column. Throws a usage Error that says what was
// expected.
std::vector<ColumnBlock> parse_columns(const std::string& text);
std::string columns_text(const std::vector<ColumnBlock>& blocks);  // which parse_columns() reads

int64_t column_count(const std::vector<ColumnBlock>& blocks);
bool has_kind(const std::vector<ColumnBlock>& blocks, ColumnKind kind);

// The same for each column: (columns).
std::vector<ColumnKind> kinds_by_column(const std::vector<ColumnBlock>& blocks);
Support support_of(ColumnKind kind);

}  // namespace elbo
