// What the columns of a table hold, found from the training rows: for model.likelihood=mixed, and for the
// choice of a likelihood.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/data/batch.h"
#include "elbo/data/dataset.h"
#include "elbo/data/row_source.h"
#include "elbo/nn/columns.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"

namespace elbo {

// The observed values of a column in all training rows.
struct ColumnValues {
  double lowest = 0, highest = 0;
  double mean = 0;     // of the rounded values: exact up to 2⁵³, whatever the number of ranks
  bool whole = false;  // all are whole numbers
  bool binary() const { return whole && lowest >= 0 && highest <= 1; }
  bool constant() const { return lowest == highest; }
  // Whole numbers from 0 with a long tail, which a normal distribution explains badly.
  bool counts() const { return whole && lowest == 0 && highest > 1 && highest > 2.5 * mean; }
};

struct TableColumns {
  std::vector<ColumnValues> values;  // (columns)
  std::vector<ColumnBlock> blocks;   // what they are taken for
};

// Looks at all rows of a table, (features). Columns of 0 and 1 of which exactly one is 1 in each row are the
// categories of one variable, as are those that the file names: "4:3,7:2" are the three columns from 4 on and
// the two from 7 on. Collective; the same result on every rank, for every number of ranks.
TableColumns look_at_columns(Communicator& world, const RowSource& rows, const DataShape& shape,
                             const std::string& named_categories = "");
TableColumns look_at_columns(Communicator& world, const Dataset& data);  // the training rows

// Resolves model.likelihood_columns of a mixed likelihood, or takes it from the checkpoint that the run
// continues from. Throws a usage Error where the rows are not those of a table, or have another number of
// columns. Nothing for other likelihoods. Collective.
void settle_columns(Communicator& world, RunConfig& config, const Dataset& data, const Checkpoint* start);

// The columns that the settled configuration names; empty unless the likelihood is mixed.
std::vector<ColumnBlock> mixed_columns(RunConfig& config);

}  // namespace elbo
