// Rows with missing values, completed by the model.
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/commands/saved_run_command.h"

namespace elbo {

constexpr const char* imputation_samples_help =
    "importance samples K from which missing values are imputed, for a run with data.missing=mask; 0: 100, "
    "for "
    "models with a density";

// Rows first … end-1 of the split as they are stored, (b, …row), without the run's transform.
torch::Tensor stored_rows(const RunInUse& used, int64_t first, int64_t end);

// Throws a usage Error for importance samples that the run has no use for.
void require_imputation(const RunInUse& used, int64_t importance_samples);

// Rows first … end-1 of the split, with E[x | observed elements] in place of missing values: (b, …row).
// in_units: observed values are those that are stored, the others have no transform any more. Computed in
// parts of bounded memory; the noise of a row depends on `first`.
torch::Tensor completed_rows(const RunInUse& used, Model& model, int64_t first, int64_t end,
                             int64_t importance_samples, bool in_units);

}  // namespace elbo
