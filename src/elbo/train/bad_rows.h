// Why a step was skipped: the term, the row, the layer and the rank whose numbers were not finite.
#pragma once
#include <cstdint>

#include "elbo/run/run_plan.h"
#include "elbo/train/data_parallel_step.h"

namespace elbo {

// After step number `number` (from 1), which was not finite: computes the losses of its microbatches again,
// logs the rows whose loss is not finite, or else the parameter whose gradient is not; after a spike, the row
// of the largest loss. Appends the rows to RUN/bad_rows.jsonl if plan.dump_bad_rows. A file that cannot be
// written is a warning. Collective.
void report_bad_rows(const RunPlan& plan, DataParallelStep& step, int64_t number, bool spike);

}  // namespace elbo
